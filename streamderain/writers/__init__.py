"""Writers: where frames go."""
