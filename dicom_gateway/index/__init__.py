"""The index: what the archive holds, in SQL; C-FIND and QIDO-RS read it by the same query."""
