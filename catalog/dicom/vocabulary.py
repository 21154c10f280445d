"""The words that may be kept of a file: terms of the standard, and how windows are called. Any other text is dropped.

A code string can hold any sixteen letters, and an explanation any text: an allow-list of tags alone would let names in.
"""

from __future__ import annotations

import re

# Defined terms of Modality (0008,0060), PS3.3 C.7.3.1.1.1.
_MODALITIES = """
    AR BI BMD CFM CR CT CTPROTOCOL DG DMS DX ECG EEG EMG EPS ES FID GM HC HD IO IOL IVOCT IVUS KER KO LEN LS M3D
    MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE
    RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA XA XC
"""
MODALITIES = frozenset(_MODALITIES.split())

# Defined terms of Body Part Examined (0018,0015), PS3.16 annex L, and those that devices write in their place.
_BODY_PARTS = """
    ABDOMEN ABDOMENPELVIS ADRENAL ANKLE ANUS AORTA ARM AXILLA BACK BILEDUCT BLADDER BRAIN BREAST BRONCHUS
    BUTTOCK CALCANEUS CALF CAROTID CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS CLAVICLE COCCYX
    COLON CORNEA CORONARYARTERY CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR
    FINGER FOOT FOREARM GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS ILEUM ILIUM JAW JAWREGION JEJUNUM
    KIDNEY KNEE LARYNX LEG LIVER LSPINE LSSPINE LUNG MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST NECKCHESTABDOMEN
    NECKCHESTABDPELV NOSE ORBIT OVARY PANCREAS PAROTID PATELLA PELVIS PENIS PHARYNX PROSTATE RECTUM RIB SCALP
    SCAPULA SCLERA SCROTUM SHOULDER SKULL SPINE SPLEEN SSPINE STERNUM STOMACH TESTIS THIGH THUMB THYMUS THYROID
    TLSPINE TOE TONGUE TRACHEA TSPINE UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA
"""
BODY_PARTS = frozenset(_BODY_PARTS.split())

_WINDOW_WORDS = """
    abd abdomen algo algorithm angio aorta base bone brain breast cardiac carotid cerebrum chest contrast
    default ear extremity fat fossa full hard harder head heart high inner iodine kidney liver low lung lungs
    manual max maximum mediast mediastinum min minimum narrow neck normal organ original os pancreas pelvis
    petrous posterior preset range sharp sinus smooth soft softer softtissue spine spleen standard std stroke
    subdural tissue tissues user vessel vessels wide window windows
"""
_WORDS = frozenset(_WINDOW_WORDS.split())
_WORD = re.compile(r"[a-z]+")
_NUMBERED = re.compile(r"[a-z ,_/-]*\d{0,2}")


def explanation(text: str) -> str:
    """How a file calls a window, if it says it in known words: ``WINDOW1``, ``Soft Tissue``; else nothing."""
    low = text.strip().lower()
    words = _WORD.findall(low)
    if not words or len(low) > 40 or not _NUMBERED.fullmatch(low) or not _WORDS.issuperset(words):
        return ""
    return " ".join(low.replace("_", " ").replace("-", " ").split()).capitalize()


def modality_code(text: str) -> str:
    return text if text in MODALITIES else "OT"


def body_part(text: str) -> str:
    plain = text.replace(" ", "").replace("_", "").replace("-", "").upper()
    return plain if plain in BODY_PARTS else ""
