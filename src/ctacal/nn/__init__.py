"""The networks: built, trained, exported to ONNX, and run on a scan (``predict``, which needs no torch)."""
