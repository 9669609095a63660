"""`slung report`: one table and one page of figures from the results of several models."""
