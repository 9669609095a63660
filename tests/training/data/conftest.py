from helpers.flags import stages  # noqa: F401 - a fixture
