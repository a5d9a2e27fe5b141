"""How good a trained model is: figures with their uncertainty, where it fails, what moves it, with pictures."""
