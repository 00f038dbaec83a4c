"""Local folders, S3 and Google Cloud Storage behind one interface; the only door to obstore."""
