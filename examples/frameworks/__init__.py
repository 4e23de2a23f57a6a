"""A bus inside of a web application, once for each framework; `docs/frameworks.md` explains what they share."""
