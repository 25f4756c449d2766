"""From trained networks to ONNX encoders. The only place that imports torch and transformers."""
