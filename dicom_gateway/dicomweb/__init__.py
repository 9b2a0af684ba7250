"""Outside archives by DICOMweb, we as the user agent.  PS3.18"""
