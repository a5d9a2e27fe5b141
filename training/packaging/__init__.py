"""The ModelPackage: the model that travels, its ONNX form, card, lineage and version; and what MLflow keeps of it."""
