"""How is a recipe trained?"""
