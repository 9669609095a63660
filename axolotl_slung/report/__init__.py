"""Looking at labels: pictures, statistics, and how well they fit."""
