"""Prior imaging: pulled from outside PACS, reconciled, served and sent on."""
