"""Cases at every stage, told as stories and made through the platform's own interfaces by the people of the demo."""
