from reefline.report.gallery import BoxStyle, GalleryBox, GalleryGroup, GalleryPicture, GalleryTable, make_gallery_page
from reefline.structures.boxes import BoxXyxyPx
from tests.factories import make_jpeg


def test_a_page_shows_tables_pictures_and_boxes_and_escapes_names() -> None:
    box = GalleryBox(BoxXyxyPx(1, 2, 11, 22), BoxStyle.FOUND, "<b>cat</b> 0.91")
    picture = GalleryPicture("<script>.jpg", make_jpeg(), (64, 48), ("kept",), (box,))
    table = GalleryTable("Classes", ("class", "boxes"), (("cat", "12"),))
    page = make_gallery_page("Auto-labels", "12 boxes.", [GalleryGroup("cat", (picture,), left_out=3)], tables=[table])
    assert '<rect class="found" x="1" y="2" width="10" height="20"><title>&lt;b&gt;cat&lt;/b&gt; 0.91' in page
    assert "&lt;script&gt;.jpg" in page
    assert "3 more not shown" in page
    assert '<th scope="row"><bdi>cat</bdi></th><td class="num">12</td>' in page
    assert "found by the model" in page
    assert "annotated" not in page
