"""Small records in each source's native shape, written for this project; the default run reads them."""
