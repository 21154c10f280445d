"""DICOM: bytes -> windowed pixels, and copies from which every tag outside an allow-list is gone. No Django.

``signature`` knows a file by its bytes, ``reading`` opens one within bounds, ``pixels`` gives the stored values of a
frame, ``windows`` and ``rendering`` make them grey, ``stored`` writes the de-identified copy, ``frames`` is the
choice of frames. Nothing is imported here, so that recognising a file costs no pydicom.
"""
