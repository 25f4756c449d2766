"""Training: autoencoders, deep clustering, classifiers, distillation; one loop, a folder a run."""
