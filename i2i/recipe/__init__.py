"""What does a recipe say?"""
