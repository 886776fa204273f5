"""What is installed, and is it sound?"""
