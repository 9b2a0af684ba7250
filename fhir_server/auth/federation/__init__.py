"""Sign-in by a hospital's identity provider.  OpenID Connect Core, Discovery, RP-Initiated and Back-Channel Logout."""
