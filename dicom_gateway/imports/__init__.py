"""Media that people bring: uploaded by HIM staff for a case, or put into the watched folder."""
