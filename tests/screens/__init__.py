"""Every screen in Chromium: accessible, readable at every width, and its picture for whoever wants to look."""
