"""Why an import, or one row of it, is refused."""

from __future__ import annotations

from catalog.errors import LookalikeError, gettext_noop


class ImportRefused(LookalikeError):
    """The whole import."""

    code = "bad_import"
    text = gettext_noop("This cannot be imported.")
    cure = gettext_noop("Give a folder, a CSV, a ZIP, or a .txt with one URL a line.")


class NothingToImport(ImportRefused):
    code = "nothing_to_import"
    text = gettext_noop("There are no pictures in %(name)s.")
    cure = gettext_noop("Put pictures in it, or a CSV with the columns sku and image.")


class PathMissing(ImportRefused):
    text = gettext_noop("There is no file or folder %(path)s.")
    cure = gettext_noop("Check the path.")


class BadArchive(ImportRefused):
    code = "bad_archive"
    text = gettext_noop("%(name)s is not a ZIP archive, or it is damaged.")
    cure = gettext_noop("Make it again and send that.")


class ArchiveBomb(ImportRefused):
    code = "archive_too_large"
    text = gettext_noop("The archive %(name)s would unpack to %(unpacked)d bytes, more than may be.")
    cure = gettext_noop("Split it, or raise ARCHIVE_MAX_BYTES.")
    status = 413


class UploadTooLarge(ImportRefused):
    code = "upload_too_large"
    text = gettext_noop("The file is too large: more than %(max_bytes)d bytes.")
    cure = gettext_noop("Split it, or raise ARCHIVE_MAX_BYTES.")
    status = 413


class BadTable(ImportRefused):
    code = "bad_table"
    text = gettext_noop("The table %(name)s cannot be read: it is empty, or neither UTF-8 nor GB18030.")
    cure = gettext_noop("Save it as CSV in UTF-8.")


class MissingColumns(BadTable):
    text = gettext_noop("The table %(name)s lacks the columns %(columns)s.")
    cure = gettext_noop("Its first line must name the columns.")


class SeveralTables(BadTable):
    text = gettext_noop("There are several tables of products: %(names)s.")
    cure = gettext_noop("Leave one, or name it products.csv.")


class ArchiveOfDicom(ImportRefused):
    code = "archive_of_dicom"
    text = gettext_noop("The archive holds DICOM files, which may not lie on this server as they are.")
    cure = gettext_noop("Import them with manage.py import_catalog: only de-identified copies are kept.")


class BadRowError(LookalikeError):
    """One row; the others go on."""

    code = "bad_row"
    text = gettext_noop("The row cannot be used.")


class BadValue(BadRowError):
    code = "bad_value"
    text = gettext_noop("The column %(column)s holds %(value)s.")
    cure = gettext_noop("It must be %(expected)s.")


class TooManyCells(BadRowError):
    text = gettext_noop("The row has more cells than the table has columns.")
    cure = gettext_noop("Put cells that contain the separator in quotes.")


class BadLine(BadRowError):
    text = gettext_noop("The line is not valid CSV.")
    cure = gettext_noop("Check its quotes.")


class NoImage(BadRowError):
    code = "no_image"
    text = gettext_noop("The row names no picture.")
    cure = gettext_noop("Fill the column image.")


class UnsafePath(BadRowError):
    code = "unsafe_path"
    text = gettext_noop("The path %(path)s leads out of the import.")
    cure = gettext_noop("Use a relative path without '..'.")


class LinkEntry(BadRowError):
    code = "link"
    text = gettext_noop("The entry %(path)s is a link, not a file.")
    cure = gettext_noop("Pack the file itself.")


class EncryptedEntry(BadRowError):
    code = "encrypted"
    text = gettext_noop("The entry %(path)s is encrypted.")
    cure = gettext_noop("Pack the archive again without a password.")


class MissingFile(BadRowError):
    code = "missing_file"
    text = gettext_noop("There is no file %(path)s in the import.")
    cure = gettext_noop("Give the path relative to the table; a table alone can only name URLs.")


class UnreadableFile(BadRowError):
    code = "unreadable_file"
    text = gettext_noop("The file %(path)s cannot be read.")
    cure = gettext_noop("Check its rights, or pack the archive again.")


class UnknownPicture(BadRowError):
    code = "unknown_picture"
    text = gettext_noop("The ground truth names %(name)s, which is no picture of the collection.")
    cure = gettext_noop("Name pictures as the import does.")


class UnknownQuery(UnknownPicture):
    code = "unknown_query"
    text = gettext_noop("The ground truth names the query %(name)s, which is no query picture.")
    cure = gettext_noop("Put the picture in the folder query.")


class UnexpectedRowError(BadRowError):
    code = "unexpected"
    text = gettext_noop("The row failed in an unexpected way: %(problem)s.")
    cure = gettext_noop("Report it with this line.")


def unnamed(error: LookalikeError, instead: str) -> LookalikeError:
    """The error without the name of the file it is about."""
    names = error.params.keys() & {"path", "name"}
    return type(error)(**{**error.params, **dict.fromkeys(names, instead)}) if names else error
