"""Images of the pretend patients, drawn by numpy: anatomy as soft-edged solids, noise, and DICOM around it."""
