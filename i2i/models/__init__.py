"""What is a trained model good for?"""
