"""The DICOM upper layer as acceptor, for associations that only verify and store.  PS3.8, PS3.7

pynetdicom serves everything else: it takes an association over after its A-ASSOCIATE-RQ has been read here.
"""
