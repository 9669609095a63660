"""What all errors about settings and data have in common."""


class SlungError(ValueError):
    """Something that the user can mend.

    The message names the YAML key, option or file, the value and the mend, and never quotes texts that are labelled.
    """
