"""What we have, and what is true of it: collections, products, pictures and ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.jobs import Job


class Collection(models.Model):
    """A searchable set of pictures with its own access and its own index."""

    name = models.CharField(_("name"), max_length=100)
    slug = models.SlugField(_("slug"), max_length=60, unique=True)
    description = models.TextField(_("description"), blank=True)
    is_public = models.BooleanField(
        _("public"), default=False, help_text=_("Anyone who reaches the site may search it.")
    )
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="collections",
        verbose_name=_("members"),
        help_text=_("Who may search it while it is not public. Staff always may."),
    )
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name, verbose_name_plural = _("collection"), _("collections")

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """One thing in the catalog, with as many pictures as there are."""

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="products", verbose_name=_("collection"))
    sku = models.CharField("SKU", max_length=200)
    title = models.CharField(_("title"), max_length=300, blank=True)
    category = models.CharField(_("category"), max_length=200, blank=True)
    brand = models.CharField(_("brand"), max_length=100, blank=True)
    price = models.DecimalField(
        _("price"), max_digits=12, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    stock = models.PositiveIntegerField(_("stock"), null=True, blank=True, help_text=_("Empty: not known."))
    url = models.URLField(_("url"), max_length=1000, blank=True)
    attributes = models.JSONField(_("attributes"), default=dict, blank=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    updated = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("product"), _("products")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["collection", "sku"], name="product_sku_once"),
            models.CheckConstraint(condition=Q(price__isnull=True) | Q(price__gte=0), name="product_price_positive"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["collection", "category"]),
            models.Index(fields=["collection", "price"]),
            models.Index(fields=["collection", "updated"], name="product_updated"),
        ]

    def __str__(self) -> str:
        return self.title or self.sku


class ImageRole(models.TextChoices):
    GALLERY = "gallery", _("gallery")
    QUERY = "query", _("query")


class Image(models.Model):
    """A stored picture. The file never changes: another picture is another row."""

    Role = ImageRole
    collection = models.ForeignKey(Collection, models.CASCADE, related_name="images", verbose_name=_("collection"))
    product = models.ForeignKey(
        Product, models.CASCADE, null=True, blank=True, related_name="images", verbose_name=_("product")
    )
    role = models.CharField(
        _("role"),
        max_length=10,
        choices=ImageRole,
        default=ImageRole.GALLERY,
        help_text=_("Query pictures belong to a benchmark and are never found."),
    )
    file = models.FileField(_("file"), max_length=200)
    thumbnail = models.FileField(_("thumbnail"), max_length=200, blank=True)
    sha256 = models.CharField("SHA-256", max_length=64, db_index=True)
    size = models.PositiveBigIntegerField(_("bytes"))
    width = models.PositiveIntegerField(_("width"))
    height = models.PositiveIntegerField(_("height"))
    format = models.CharField(_("format"), max_length=10)
    source = models.CharField(
        _("source"), max_length=1000, blank=True, help_text=_("Path in the import, or the URL it came from.")
    )
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("picture"), _("pictures")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["collection", "product", "role", "sha256"],
                condition=Q(product__isnull=False),
                name="image_once_in_product",
            ),
            models.UniqueConstraint(
                fields=["collection", "role", "sha256"],
                condition=Q(product__isnull=True),
                name="image_once_without_product",
            ),
            models.CheckConstraint(condition=Q(role__in=ImageRole.values), name="image_role_known"),
        ]
        indexes: ClassVar = [models.Index(fields=["collection", "role", "id"])]

    def __str__(self) -> str:
        return self.source or f"{self.sha256[:12]}.{self.format.lower()}"


class DicomStudy(models.Model):
    """A study under its pseudonym. ``key`` and ``patient`` are keyed hashes: nothing leads back without the secret."""

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="studies", verbose_name=_("collection"))
    key = models.CharField(_("key"), max_length=32)
    patient = models.CharField(_("patient"), max_length=32, db_index=True, help_text=_("A pseudonym."))
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("study"), _("studies")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["collection", "key", "patient"], name="study_once"),
        ]

    def __str__(self) -> str:
        return self.key[:12]


class DicomSeries(models.Model):
    """A series of a study under its pseudonym."""

    study = models.ForeignKey(DicomStudy, models.CASCADE, related_name="series", verbose_name=_("study"))
    key = models.CharField(_("key"), max_length=32)
    modality = models.CharField(_("modality"), max_length=20)
    body_part = models.CharField(_("body part"), max_length=20, blank=True)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("series"), _("series")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["study", "key"], name="series_once"),
        ]

    def __str__(self) -> str:
        return f"{self.modality} {self.body_part} {self.key[:12]}".replace("  ", " ")


class WindowSource(models.TextChoices):
    STORED = "stored", _("of the file")
    PRESET = "preset", _("a preset")
    OWN = "own", _("given at import")
    DERIVED = "derived", _("derived: the file has none")
    TABLE = "table", _("a table of the file")
    NONE = "none", _("none: in colour")


class DicomFrame(models.Model):
    """What a picture that came as DICOM is a frame of, and the window it is shown and described with."""

    Source = WindowSource
    image = models.OneToOneField(Image, models.CASCADE, related_name="dicom", verbose_name=_("picture"))
    series = models.ForeignKey(DicomSeries, models.CASCADE, related_name="dicom_frames", verbose_name=_("series"))
    instance = models.CharField(_("instance"), max_length=32, help_text=_("A pseudonym of the file."))
    instance_number = models.PositiveIntegerField(_("number in the series"), null=True, blank=True)
    number = models.PositiveIntegerField(_("frame"), default=1, help_text=_("From 1."))
    frames = models.PositiveIntegerField(_("frames of the file"), default=1)
    window_source = models.CharField(_("window"), max_length=10, choices=WindowSource)
    window_center = models.FloatField(_("window centre"), null=True, blank=True)
    window_width = models.FloatField(_("window width"), null=True, blank=True)
    window_function = models.CharField(_("window function"), max_length=12, blank=True)
    burned_in = models.CharField(
        _("burned-in text"),
        max_length=3,
        blank=True,
        choices=[("yes", _("yes")), ("no", _("no"))],
        help_text=_("What the file says of itself; empty: nothing. It proves nothing."),
    )
    origin = models.CharField(_("origin"), max_length=32, db_index=True, editable=False)  # keyed hash of what came

    class Meta:
        ordering = ["series", "instance_number", "number"]
        verbose_name, verbose_name_plural = _("DICOM frame"), _("DICOM frames")
        indexes: ClassVar = [models.Index(fields=["series", "instance_number", "number"], name="dicom_frame_order")]

    def __str__(self) -> str:
        return f"{self.instance[:12]} {self.number}/{self.frames}"


class Relevance(models.TextChoices):
    LABELS = "labels", _("labels: the rows below")
    CATEGORY = "category", _("pictures of the same category")
    PRODUCT = "product", _("pictures of the same product")


class Benchmark(models.Model):
    """Queries of a collection and what counts as relevant to them."""

    Relevance = Relevance
    collection = models.ForeignKey(Collection, models.CASCADE, related_name="benchmarks", verbose_name=_("collection"))
    name = models.CharField(_("name"), max_length=100)
    relevance = models.CharField(_("relevance"), max_length=10, choices=Relevance, default=Relevance.LABELS)
    exclude_same_patient = models.BooleanField(
        _("leave out the query's own patient"),
        default=True,
        help_text=_("Pictures of the same patient are neither hit nor miss. Counts where a query came as DICOM."),
    )
    version = models.PositiveIntegerField(_("label version"), default=1, editable=False)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name, verbose_name_plural = _("benchmark"), _("benchmarks")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["collection", "name"], name="benchmark_name_once"),
            models.CheckConstraint(condition=Q(relevance__in=Relevance.values), name="benchmark_relevance_known"),
        ]

    def __str__(self) -> str:
        return f"{self.collection.slug}/{self.name}"


class Query(models.Model):
    """A searching picture of a benchmark, or a box of one, in upright original pixels."""

    benchmark = models.ForeignKey(Benchmark, models.CASCADE, related_name="queries", verbose_name=_("benchmark"))
    name = models.CharField(_("name"), max_length=300)
    image = models.ForeignKey(Image, models.CASCADE, related_name="queries", verbose_name=_("picture"))
    box = models.JSONField(_("box"), null=True, blank=True, help_text=_("[x, y, width, height] in pixels."))

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("query"), _("queries")
        constraints: ClassVar = [models.UniqueConstraint(fields=["benchmark", "name"], name="query_name_once")]

    def __str__(self) -> str:
        return self.name


class Grade(models.TextChoices):
    EASY = "easy", _("easy")
    HARD = "hard", _("hard")
    JUNK = "junk", _("junk: leaves the ranking")
    DISTRACTOR = "distractor", _("distractor: a look-alike that counts as a miss")
    NEGATIVE = "negative", _("negative")


class Label(models.Model):
    """How a picture stands to a query. Not labelled: negative."""

    Grade = Grade
    query = models.ForeignKey(Query, models.CASCADE, related_name="labels", verbose_name=_("query"))
    image = models.ForeignKey(Image, models.CASCADE, related_name="labels", verbose_name=_("picture"))
    grade = models.CharField(_("grade"), max_length=10, choices=Grade)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("label"), _("labels")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["query", "image"], name="label_once"),
            models.CheckConstraint(condition=Q(grade__in=Grade.values), name="label_grade_known"),
        ]

    def __str__(self) -> str:
        return f"{self.query_id} {self.image_id} {self.grade}"


class ImportJob(Job):
    """An import of a folder, a CSV, an archive or a list of URLs into a collection."""

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="imports", verbose_name=_("collection"))
    upload = models.FileField(_("CSV or ZIP file"), upload_to="imports/", max_length=200, blank=True)
    path = models.CharField(
        _("path on the server"),
        max_length=1000,
        blank=True,
        help_text=_("Instead of a file: set by the command."),
    )
    role = models.CharField(
        _("role"),
        max_length=10,
        choices=ImageRole,
        default=ImageRole.GALLERY,
        help_text=_("Of pictures whose row gives none."),
    )
    frames = models.CharField(
        _("frames of DICOM files"),
        max_length=200,
        default="first",
        blank=True,
        help_text=_("first, middle, last, all, a number, several with commas, or every:10. One picture each."),
    )
    window = models.CharField(
        _("window of DICOM files"),
        max_length=40,
        blank=True,
        help_text=_("Empty: as stored. Or stored:2, for CT lung, bone, brain, soft-tissue …, or center/width."),
    )
    added = models.PositiveBigIntegerField(_("added"), default=0)
    known = models.PositiveBigIntegerField(_("already there"), default=0)
    bad = models.PositiveBigIntegerField(_("bad rows"), default=0)
    report = models.FileField(_("report of bad rows"), max_length=200, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name, verbose_name_plural = _("import"), _("imports")

    def __str__(self) -> str:
        return f"{Path(self.upload.name or self.path).name} → {self.collection}"
