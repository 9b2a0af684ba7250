"""The DIMSE services: doors without logic, one file a service.  PS3.7, PS3.4"""
