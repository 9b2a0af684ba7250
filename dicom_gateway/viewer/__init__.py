"""The OHIF viewer: fetched once, by its pinned hash, and served from the root of the gateway's own origin."""
