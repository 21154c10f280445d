"""Why a DICOM file is refused. No text names a value of the file, but for numbers and names of the standard."""

from __future__ import annotations

from catalog.errors import gettext_noop
from catalog.images import PictureError, PictureTooLarge


class DicomError(PictureError):
    code = "bad_dicom"
    text = gettext_noop("The DICOM file cannot be used.")


class BrokenDicom(DicomError):
    code = "broken_dicom"
    text = gettext_noop("The DICOM file is damaged: %(problem)s.")
    cure = gettext_noop("Export it again from the archive it came from.")


class TruncatedDicom(BrokenDicom):
    code = "truncated_dicom"
    text = gettext_noop("The DICOM file is truncated: %(found)d bytes of pixels, not the %(expected)d it promises.")


class NoPixels(DicomError):
    """An object of the standard that is no picture."""

    code = "dicom_without_pixels"
    text = gettext_noop("The DICOM file holds no picture: it has no pixel data.")
    cure = gettext_noop("Send the images of the series.")
    status = 415


class DicomDirectory(NoPixels):
    text = gettext_noop("This is a DICOMDIR, a directory of other DICOM files, not a picture.")
    cure = gettext_noop("Import the files that it lists.")


class StructuredReport(NoPixels):
    text = gettext_noop("This DICOM file is a structured report, not a picture.")


class PresentationState(NoPixels):
    text = gettext_noop("This DICOM file is a presentation state: it says how to show a picture, and holds none.")


class Waveform(NoPixels):
    text = gettext_noop("This DICOM file is a waveform, such as an ECG, not a picture.")


class EncapsulatedDocument(NoPixels):
    text = gettext_noop("This DICOM file holds a document, such as a PDF, not a picture.")
    cure = gettext_noop("Export its pages as pictures.")


class RadiotherapyObject(NoPixels):
    text = gettext_noop("This DICOM file is a radiotherapy plan, structure set or record, not a picture.")


class VideoUnsupported(DicomError):
    code = "dicom_video"
    text = gettext_noop("This DICOM file is a video in the transfer syntax %(syntax)s; videos cannot be read.")
    cure = gettext_noop("Export its frames as pictures.")
    status = 415


class UnsupportedSyntax(DicomError):
    code = "dicom_syntax"
    text = gettext_noop("The transfer syntax of the DICOM file is not known: %(syntax)s.")
    cure = gettext_noop("Convert it to Explicit VR Little Endian and send that.")
    status = 415


class DecoderMissing(DicomError):
    code = "dicom_decoder_missing"
    text = gettext_noop("The DICOM file is compressed with %(syntax)s; this site was installed without its decoder.")
    cure = gettext_noop("Have the extra 'medical' installed, or send the file uncompressed.")
    status = 415


class UnsupportedPixels(DicomError):
    code = "dicom_pixels"
    text = gettext_noop("The pixels of the DICOM file are of a kind that cannot be shown: %(what)s.")
    cure = gettext_noop("Export it as PNG and send that.")
    status = 415


class TooManyFrames(PictureTooLarge):
    code = "too_many_frames"
    text = gettext_noop("The DICOM file has %(frames)d frames, more than %(max_frames)d.")
    cure = gettext_noop("Send fewer of them, or raise DICOM_MAX_FRAMES.")


class DicomTooLarge(PictureTooLarge):
    code = "dicom_too_large"
    text = gettext_noop("The DICOM file unpacks to more than %(max_bytes)d bytes.")
    cure = gettext_noop("Send it without deflation, or raise IMAGE_MAX_BYTES.")


class BadFrame(DicomError):
    code = "bad_frame"
    text = gettext_noop("The frame %(frame)s cannot be shown: the file has %(frames)d.")
    cure = gettext_noop("Frames are numbered from 1.")


class BadFrames(DicomError):
    code = "bad_frames"
    text = gettext_noop("The choice of frames %(choice)s cannot be read.")
    cure = gettext_noop("Say first, middle, last, all, a number, several numbers with commas, or every:10.")


class BadWindow(DicomError):
    code = "bad_window"
    text = gettext_noop("The window %(window)s cannot be read.")
    cure = gettext_noop("Say stored, stored:2, the name of a preset (%(presets)s), or center/width such as 40/400.")


class WindowNotFor(DicomError):
    code = "window_not_for"
    text = gettext_noop("The window %(window)s does not fit this picture.")
    cure = gettext_noop("Presets are for CT in Hounsfield units; colour pictures take no window; leave it out.")


class BurnedIn(DicomError):
    code = "burned_in"
    text = gettext_noop("The DICOM file says itself that text is burned into its pixels.")
    cure = gettext_noop("Remove it from the pixels, or let DICOM_BURNED_IN=mark take such files in.")
