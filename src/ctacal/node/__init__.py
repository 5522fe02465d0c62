"""The DICOM node: the processes that ``ctacal node`` starts, and the networks that they speak to."""
