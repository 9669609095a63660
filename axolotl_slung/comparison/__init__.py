"""`slung report`: tables, pictures and one page from the results of several models."""
