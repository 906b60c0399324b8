"""What the metadata of images says of their origin, read from files that real libraries wrote."""

import datetime
import io
import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image, PngImagePlugin

import entroloop as el
from entroloop.data import made_by
from entroloop.data.made_by import look_for_maker

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"{attribute}>{element}'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
AS_ATTRIBUTE = XMP.format(
    attribute=f' Iptc4xmpExt:DigitalSourceType="{IPTC}trainedAlgorithmicMedia"', element=""
)
AS_ELEMENT = XMP.format(attribute="", element=(
    f"<Iptc4xmpExt:DigitalSourceType>{IPTC}digitalCapture</Iptc4xmpExt:DigitalSourceType>"
))  # fmt: skip


def encoded(form="PNG", seed=0, text=None, **options):
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    if text is not None:
        options["pnginfo"] = info
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("text", "maker"),
    [
        ({"parameters": "a cat\nSteps: 20, Sampler: Euler a, Seed: 1"}, "png: webui parameters"),
        ({"prompt": json.dumps({"3": {"class_type": "KSampler"}})}, "png: ComfyUI"),
        ({"workflow": json.dumps({"nodes": []})}, "png: ComfyUI"),
        ({"invokeai_metadata": "{}"}, "png: InvokeAI"),
        ({"Software": "NovelAI", "Comment": "{}"}, "png: NovelAI"),
        ({"fooocus_scheme": "fooocus", "parameters": "{}"}, "png: Fooocus"),
        ({"parameters": json.dumps({"sui_image_params": {}})}, "png: SwarmUI"),
        ({"Software": "GIMP", "prompt": "what the exhibition asked for"}, "unknown"),
        ({"parameters": "of the camera"}, "unknown"),
        ({"Description": f"on {IPTC}trainedAlgorithmicMedia"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_generators_are_known_by_the_text_that_they_write_and_nothing_is_guessed(text, maker):
    assert look_for_maker(encoded(text=text)) == (maker, [])


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("packet", "kind"), [(AS_ATTRIBUTE, "trainedAlgorithmicMedia"), (AS_ELEMENT, "digitalCapture")]
)
def test_the_digital_source_type_of_iptc_is_read_from_xmp(form, packet, kind):
    if form == "PNG":
        content = encoded(text={"XML:com.adobe.xmp": packet})
    else:
        content = encoded(form, xmp=packet.encode())
    assert look_for_maker(content) == (f"iptc: {kind}", [])


@pytest.fixture(scope="module")
def signed():
    """Return a function that signs an image as a generator does, with a certificate of its own."""
    c2pa = pytest.importorskip("c2pa")
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(of):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, of),
                          x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tests")])  # fmt: skip

    def certificate(of, key, by, signing_key):
        is_root = of == by
        usage = [True, False, False, False, False, is_root, is_root, False, False]
        start = datetime.datetime(2024, 1, 1)
        builder = (
            x509.CertificateBuilder(name(by), name(of), key.public_key(), 1 + is_root)
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=36_500))
            .add_extension(x509.BasicConstraints(is_root, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), False
            )
            .add_extension(x509.KeyUsage(*usage), critical=True)
        )
        if not is_root:
            mail = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(mail, False)
        found = builder.sign(signing_key, hashes.SHA256())
        return found.public_bytes(serialization.Encoding.PEM)

    root, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = certificate("leaf", key, "root", root) + certificate("root", root, "root", root)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )  # fmt: skip
    signer = c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain, secret, None)
    )

    def sign(form, agent="Painter 3", source="trainedAlgorithmicMedia"):
        action = {"action": "c2pa.created", "digitalSourceType": IPTC + source}
        if agent is not None:
            action["softwareAgent"] = {"name": agent}
        manifest = {
            "claim_generator_info": [{"name": "Writer", "version": "1"}],
            "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
        }
        out = io.BytesIO()
        source = io.BytesIO(encoded(form))
        c2pa.Builder(manifest).sign(signer, f"image/{form.lower()}", source, out)
        return out.getvalue()

    return sign


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_manifest_is_believed_where_it_matches_its_file_alone(signed, form):
    content = signed(form)
    assert look_for_maker(content) == ("c2pa: Painter 3 (trainedAlgorithmicMedia)", [])
    changed = bytearray(content)
    changed[-30] ^= 1
    assert look_for_maker(bytes(changed))[0] == "unknown"
    assert "not believed" in look_for_maker(bytes(changed))[1][0]


def test_the_writer_is_named_where_no_agent_is_and_a_camera_is_no_generator(signed):
    content = signed("PNG", agent=None, source="digitalCapture")
    assert look_for_maker(content) == ("c2pa: Writer (digitalCapture)", [])
    told, _ = look_for_maker(signed("PNG", agent="a\n\x1b[31m" + "b" * 200))
    assert told.isprintable()
    assert len(told) < 120


def test_a_manifest_without_the_extra_is_counted_and_not_passed_over(signed, monkeypatch):
    content = signed("PNG")
    monkeypatch.setitem(sys.modules, "c2pa", None)
    made_by._reader.cache_clear()
    try:
        told, remarks = look_for_maker(content)
    finally:
        made_by._reader.cache_clear()
    assert told == "unknown"
    assert "entroloop[provenance]" in remarks[0]


def test_quotas_hold_over_makers_and_the_summary_counts_them(tmp_path, entroloop_here):
    folder = tmp_path / "pool"
    folder.mkdir()
    comfy = {"prompt": json.dumps({"3": {"class_type": "KSampler"}})}
    for i in range(12):
        text = comfy if i < 8 else {}
        (folder / f"{i:02}.png").write_bytes(encoded(seed=i, text=text))
    answer = entroloop_here("select", "--pool", "pool", "-n", "6", "--out", "s", "--group-by",
                            "made_by")  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["made_by"] == {
        "png: ComfyUI": {"rows": 8, "chosen": 4}, "unknown": {"rows": 4, "chosen": 2},
    }  # fmt: skip
    groups = pd.read_parquet(tmp_path / "s/selection.parquet")["group"]
    assert groups.value_counts().to_dict() == {"png: ComfyUI": 4, "unknown": 2}
    found = el.load(folder, columns=["made_by"])
    assert found.columns["made_by"].tolist() == ["png: ComfyUI"] * 8 + ["unknown"] * 4
    with pytest.raises(el.InputError, match="no column 'made_by'"):
        el.load(found.data, columns=["made_by"])
