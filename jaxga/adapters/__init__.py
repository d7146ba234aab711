"""jaxga in other packages and they in it; each module needs its own optional package."""
