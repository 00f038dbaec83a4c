"""The sections of the review page: one module and one template each."""
