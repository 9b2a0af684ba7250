"""DICOMweb doors, viewer and the gateway's own API: doors without logic.  PS3.18"""
