"""Where an image of a model has its files; without imports, as every model's environment reads it."""

MODEL = "/opt/millpond/model"
ORIGIN = "/opt/millpond/origin.json"
"""What the files are: JSON with the model's ``uri`` and ``digest``."""
