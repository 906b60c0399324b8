"""FKEA, KEN, high-frequency loss, tail coverage: closed forms, exact kernels, planted collapse."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import entroloop as el
from entroloop.metrics import METRICS, Sets
from entroloop.metrics.fourier import GROUPS, bandwidth, fkea, fkea_error, ken, ken_error, modes
from entroloop.metrics.frequencies import high_frequency_loss, radial_power
from entroloop.metrics.halves import halvings
from entroloop.metrics.manifold import coverage
from entroloop.metrics.measure import measure
from entroloop.metrics.tails import tail_coverage, tail_share
from entroloop.seeding import rng_for

FAR = 50.0 * np.eye(6)[:, :5]  # points so far apart that no kernel joins them


def points(counts):
    return np.repeat(FAR[: len(counts)], counts, axis=0)


def entropy(p):
    p = np.asarray(p, float)
    p = p[p > 0]
    return -(p * np.log(p)).sum()


# --- FKEA ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2])
def test_fkea_of_a_gaussian_is_that_of_its_operator(d):
    # Under N(0, 1) the Gaussian kernel's operator has the eigenvalues (1 − B) B^k in each
    # dimension, B = b/(a + b + c), a = 1/4, b = 1/(2σ²), c = √(a² + 2ab); in several, products.
    sigma = 0.8
    a, b = 1 / 4, 1 / (2 * sigma**2)
    share = b / (a + b + np.sqrt(a * a + 2 * a * b))
    first = d * (-np.log(1 - share) - share / (1 - share) * np.log(share))
    second = -d * np.log((1 - share) / (1 + share))
    assert second == pytest.approx(d / 2 * np.log(1 + 4 / sigma**2))  # E k² by another integral
    x = np.random.default_rng(0).standard_normal((6000, d))
    found = [[fkea(x, bandwidth=sigma, order=order, frequencies=256, seed=seed)
              for seed in range(6)] for order in (1, 2)]  # fmt: skip
    assert np.mean(found[0]) == pytest.approx(first, abs=0.06)
    assert np.mean(found[1]) == pytest.approx(second, abs=0.06)


def test_fkea_of_points_far_apart_is_the_entropy_of_their_shares():
    counts = [50, 30, 15, 5]
    p = np.array(counts) / 100
    x = points(counts)
    assert fkea(x, bandwidth=1.0, frequencies=8192) == pytest.approx(entropy(p), abs=0.01)
    second = fkea(x, bandwidth=1.0, order=2, frequencies=8192)
    assert second == pytest.approx(-np.log((p**2).sum()), abs=0.01)
    assert fkea(x[:50], bandwidth=1.0) == pytest.approx(0, abs=1e-9)


@pytest.mark.filterwarnings("ignore:.*scipy.sparse.*:DeprecationWarning")
def test_fkea_is_vendi_score_of_the_exact_kernel_as_frequencies_grow(rng):
    vendi = pytest.importorskip("vendi_score.vendi")
    x = rng.standard_normal((150, 4)) + np.repeat(3 * np.eye(4)[:3], 50, axis=0)
    sigma = 1.5
    squares = np.square(x[:, None] - x).sum(axis=-1)
    kernel = np.exp(-squares / (2 * sigma**2))
    for order in (1, 2):
        exact = np.log(vendi.score_K(kernel, q=order))
        found = fkea(x, bandwidth=sigma, order=order, frequencies=20_000)
        assert found == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("order", [1, 2])
def test_both_ways_to_the_spectrum_agree(rng, order):
    # Up to as many rows as frequencies it is taken from rows, beyond that from features.
    x = rng.standard_normal((32, 3))
    few = fkea(x, bandwidth=1.0, order=order, frequencies=32)
    many = fkea(np.concatenate([x, x]), bandwidth=1.0, order=order, frequencies=32)
    assert many == pytest.approx(few)


def test_both_ways_to_what_is_new_agree(rng):
    x, y = rng.standard_normal((2, 16, 3)) + 0.4 * np.array([0, 1])[:, None, None]
    told = {"bandwidth": 1.0, "frequencies": 16, "ratio": 1.5}
    few = ken(generated=x, reference=y, **told)
    many = ken(generated=np.tile(x, (3, 1)), reference=np.tile(y, (3, 1)), **told)
    assert many == pytest.approx(few)
    assert few > 0.1


def test_blocks_and_memory_maps_change_nothing(rng, tmp_path, monkeypatch):
    x = rng.standard_normal((300, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    whole = fkea(x, bandwidth=1.0, frequencies=64)
    monkeypatch.setattr("entroloop.metrics.fourier.BLOCK", 37)
    assert fkea(mapped, bandwidth=1.0, frequencies=64) == pytest.approx(whole, abs=1e-12)


def test_sets_of_two_widths_are_refused_in_one_line(rng):
    sets = {"generated": rng.standard_normal((20, 3)), "reference": rng.standard_normal((20, 2))}
    with pytest.raises(el.InputError, match="3 values a row, the other 2"):
        ken(**sets, bandwidth=1.0)
    with pytest.raises(el.InputError, match="3 values a row and reference 2"):
        tail_share(**sets)


def test_the_bandwidth_is_the_median_distance_to_others(rng):
    x = rng.standard_normal((101, 3))
    distances = np.linalg.norm(x[:, None] - x, axis=-1)
    np.fill_diagonal(distances, np.nan)
    others = np.sort(distances, axis=1)[:, :100]
    assert bandwidth(x) == pytest.approx(np.median(others[:, 49]))
    assert bandwidth(3 * x) == pytest.approx(3 * bandwidth(x))
    # Three rows on a line, 1 and 2 apart: their nearest others are 1, 1 and 2 away.
    assert bandwidth(np.array([[0.0], [1.0], [3.0]])) == 1
    with pytest.raises(el.InputError, match="at least 3"):
        bandwidth(x[:2])


def test_fkea_takes_512_frequencies_unless_told(rng):
    x = rng.standard_normal((60, 2))
    assert fkea(x, bandwidth=1.0) == fkea(x, bandwidth=1.0, frequencies=512)
    assert fkea(x, bandwidth=1.0) != fkea(x, bandwidth=1.0, frequencies=513)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"order": 3}, "order must be 1 or 2"),
        ({"bandwidth": 0.0}, "must be above 0"),
        ({"frequencies": 1}, "at least 2 frequencies"),
    ],
)
def test_what_fkea_cannot_use_is_refused(arguments, said):
    with pytest.raises(el.InputError, match=said):
        fkea(np.ones((5, 2)), **{"bandwidth": 1.0, **arguments})
    assert fkea(np.ones((5, 2)), bandwidth=1.0, frequencies=2) == pytest.approx(0, abs=1e-9)


def test_equal_rows_have_no_bandwidth_and_a_ratio_is_at_least_1():
    with pytest.raises(el.InputError, match="most rows are equal"):
        bandwidth(np.ones((9, 2)))
    with pytest.raises(el.InputError, match="ratio must be at least 1"):
        ken(generated=FAR, reference=FAR, bandwidth=1.0, ratio=0.5)


# --- KEN ----------------------------------------------------------------------------------------


def novelty(p, q, ratio):
    extra = np.maximum(np.asarray(p) - ratio * np.asarray(q), 0)
    extra = extra[extra > 0]
    return float((extra * np.log(extra.sum() / extra)).sum())


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_ken_of_points_far_apart_is_that_of_the_differences_of_their_shares(ratio):
    g, r = points([40, 10, 10, 20, 20]), points([10, 50, 40])
    p, q = [0.4, 0.1, 0.1, 0.2, 0.2], [0.1, 0.5, 0.4, 0, 0]
    found = ken(generated=g, reference=r, bandwidth=1.0, ratio=ratio, frequencies=20_000)
    assert found == pytest.approx(novelty(p, q, ratio), abs=0.02)
    lost = ken(generated=r, reference=g, bandwidth=1.0, ratio=ratio, frequencies=20_000)
    assert lost == pytest.approx(novelty(q, p, ratio), abs=0.02)


def test_ken_is_that_of_the_exact_kernel_matrix_of_both_sets(rng):
    # The non-zero eigenvalues of C_G − η C_R are those of [[K_GG, √η K_GR], [−√η K_RG, −η K_RR]].
    g = rng.standard_normal((80, 3)) + np.repeat([[0, 0, 0], [5, 0, 0]], 40, axis=0)
    r = rng.standard_normal((80, 3)) + np.repeat([[0, 0, 0], [0, 5, 0]], 40, axis=0)
    sigma, ratio = 2.0, 2.0
    both = np.concatenate([g, r])
    kernel = np.exp(-np.square(both[:, None] - both).sum(axis=-1) / (2 * sigma**2)) / 80
    scale = np.repeat([1.0, np.sqrt(ratio)], 80)
    sign = np.repeat([1.0, -1.0], 80)
    values = np.linalg.eigvals(sign[:, None] * scale[:, None] * kernel * scale).real
    values = values[values > 1e-10]
    exact = (values * np.log(values.sum() / values)).sum()
    found = ken(generated=g, reference=r, bandwidth=sigma, ratio=ratio, frequencies=20_000)
    assert found == pytest.approx(exact, rel=0.02)


def test_modes_are_the_new_points_with_rows_that_are_there():
    g, r = points([40, 10, 10, 25, 15]), points([40, 30, 30])
    found = modes(g, r, bandwidth=1.0, count=2, examples=10)
    assert [m.weight for m in found] == pytest.approx([0.25, 0.15], abs=0.05)
    where = np.repeat(np.arange(5), [40, 10, 10, 25, 15])
    assert set(where[found[0].rows]) == {3}
    assert set(where[found[1].rows]) == {4}
    assert modes(r, r, bandwidth=1.0) == []
    assert len(modes(points([10] * 6), points([60]), bandwidth=1.0)) == 4  # of five


def test_spectral_metrics_move_the_right_way_as_modes_are_dropped(rng):
    centres = 6 * rng.standard_normal((8, 10))

    def drawn(kept):
        return centres[rng.integers(kept, size=240)] + 0.5 * rng.standard_normal((240, 10))

    reference = drawn(8)
    sets = [Sets(generated=drawn(kept), reference=reference) for kept in (8, 5, 3, 1)]
    for name, sign in (("fkea", -1), ("fkea_rke", -1), ("ken_lost", 1), ("ken", 1)):
        values = [METRICS[name].value(s) for s in sets]
        steps = np.diff(values[:3] if name.startswith("ken") else values)  # one mode has no entropy
        assert (sign * steps > 0).all(), (name, values)


# --- high frequencies ---------------------------------------------------------------------------


def test_radial_power_holds_all_of_the_variance(rng):
    images = rng.standard_normal((5, 24, 9, 3)) + 4
    frequencies, power = radial_power(images)
    assert power.shape == (5, len(frequencies))
    variance = images.var(axis=(1, 2)).mean(axis=1) * (24 * 9) ** 2  # Parseval
    assert power.sum(axis=1) == pytest.approx(variance)
    wave = np.cos(2 * np.pi * 3 * np.arange(16) / 16)[None, None] * np.ones((1, 16, 1))
    frequencies, power = radial_power(wave)
    assert frequencies[power[0].argmax()] == pytest.approx(3 / 16)
    smallest = radial_power(np.array([[[1.0, 0.0], [0.0, 0.0]]]))  # all of its variance: 3/16
    assert smallest[1].sum() == pytest.approx(3 / 16 * 16)


def test_images_of_one_channel_have_frequencies_and_those_of_one_line_have_none(rng):
    images = rng.standard_normal((5, 6, 4))
    assert np.array_equal(radial_power(images[..., None])[1], radial_power(images)[1])
    for flat in (images[:, :1], images[:, :, :1]):
        with pytest.raises(el.InputError, match="at least 2 × 2 pixels"):
            radial_power(flat)


def test_the_share_of_fine_detail_does_not_depend_on_contrast(rng):
    real, reference = rng.standard_normal((2, 9, 8, 8))
    loss = high_frequency_loss(generated=real, reference=reference)
    faint = high_frequency_loss(generated=1e-4 * real, reference=1e-5 * reference)
    assert faint == pytest.approx(loss)


def test_high_frequency_loss_of_filtered_noise_is_that_of_the_filter(rng):
    # Of white noise every frequency has the same power; after a filter H the share of the fine
    # ones is Σ_fine |H|²/Σ |H|².
    side = 16
    axis = np.fft.fftfreq(side)
    radius = np.rint(np.hypot(axis[:, None], axis) * side) / side
    transfer = np.exp(-6 * (axis[:, None] ** 2 + axis**2))
    noise = rng.standard_normal((2, 3000, side, side))
    blurred = np.fft.ifft2(np.fft.fft2(noise[0]) * transfer).real

    def share(gain):
        gain = gain.copy()
        gain[0, 0] = 0
        return gain[radius > 0.25].sum() / gain.sum()

    expected = np.log(share(np.ones((side, side))) / share(transfer**2))
    found = high_frequency_loss(generated=blurred, reference=noise[1])
    assert expected > 0.5
    assert found == pytest.approx(expected, abs=0.01)


def test_blur_raises_the_loss_copies_and_contrast_leave_it_and_noise_lowers_it():
    from sklearn.datasets import load_digits

    images = load_digits().images
    rng = np.random.default_rng(0)
    order = rng.permutation(len(images))
    real, reference = images[order[:900]], images[order[900:]]
    losses = [high_frequency_loss(generated=gaussian_filter(real, (0, s, s)), reference=reference)
              for s in (0.0, 0.4, 0.7, 1.0)]  # fmt: skip
    assert abs(losses[0]) < 0.03
    assert (np.diff(losses) > 0.1).all()
    assert high_frequency_loss(generated=reference, reference=reference) == 0
    assert high_frequency_loss(generated=0.3 * real + 5, reference=reference) == pytest.approx(
        losses[0]
    )
    noisy = real + 3 * rng.standard_normal(real.shape)
    assert high_frequency_loss(generated=noisy, reference=reference) < -0.1


def test_the_interval_looks_at_each_image_once_and_holds_the_value(rng, monkeypatch):
    import entroloop.metrics.frequencies as module

    looked = []

    def counted(images):
        looked.append(len(images))
        return radial_power(images)

    monkeypatch.setattr(module, "radial_power", counted)
    images = {role: rng.standard_normal((60, 8, 8)) for role in ("generated", "reference")}
    rows = {role: x.reshape(60, 64) for role, x in images.items()}
    shown = {"originals": images, "as_images": np.asarray}
    found = measure(**rows, **shown, metrics=["high_frequency_loss"])["high_frequency_loss"]
    low, high = found.interval
    assert low < found.value < high
    assert looked == [60, 60]
    sets = Sets(**rows, **shown)
    half = halvings(sets, np.random.default_rng(0), 1)[0][0]
    at = [half._index[role] for role in ("generated", "reference")]
    alone = high_frequency_loss(
        generated=images["generated"][at[0]], reference=images["reference"][at[1]]
    )
    assert METRICS["high_frequency_loss"].value(half) == pytest.approx(alone)


def test_rows_that_are_no_images_have_no_frequencies(rng):
    x, y = rng.standard_normal((2, 50, 64))
    with pytest.raises(el.InputError, match="are no images"):
        el.measure(generated=x, reference=y, metrics=["high_frequency_loss"])
    with pytest.raises(el.InputError, match="need images"):
        high_frequency_loss(generated=x, reference=y)
    with pytest.raises(el.InputError, match="no fine detail"):
        high_frequency_loss(generated=np.ones((9, 8, 8)), reference=rng.random((9, 8, 8)))
    images = (255 * rng.random((2, 50, 8, 8, 3))).astype(np.uint8)
    found = el.measure(generated=images[0], reference=images[1], metrics=["high_frequency_loss"])
    assert abs(found["high_frequency_loss"].value) < 0.05


# --- tail coverage ------------------------------------------------------------------------------


def test_tail_coverage_of_equal_sources_is_that_of_coverage():
    # A row's first k neighbours among 2n − 1 others hold no generated one with probability
    # ∏_{j<k} (n − 1 − j)/(2n − 1 − j): in the tails as elsewhere.
    n, draws = 400, 60
    expected = 1 - np.prod([(n - 1 - j) / (2 * n - 1 - j) for j in range(5)])
    values = [
        tail_coverage(generated=g, reference=r)
        for g, r in (np.random.default_rng(i).standard_normal((2, n, 4)) for i in range(draws))
    ]
    error = np.std(values, ddof=1) / np.sqrt(draws)
    assert abs(np.mean(values) - expected) < 4 * error


def test_a_set_that_lost_its_tails_loses_tail_coverage_first(rng):
    reference = rng.standard_normal((1000, 2))
    radius = np.linalg.norm(reference - reference.mean(axis=0), axis=1)
    values = []
    for quantile in (1.0, 0.97, 0.95, 0.9):
        pool = rng.standard_normal((6000, 2))
        kept = pool[np.linalg.norm(pool, axis=1) <= np.quantile(radius, quantile)][:1000]
        values.append((tail_coverage(generated=kept, reference=reference),
                       coverage(generated=kept, reference=reference)))  # fmt: skip
    tails, whole = np.array(values).T
    assert (np.diff(tails) < 0).all()
    assert tails[0] - tails[1] > 5 * (whole[0] - whole[1])
    sets = Sets(generated=kept, reference=reference)
    assert METRICS["tail_coverage"].value(sets) == tails[-1]


def test_the_interval_of_tail_coverage_counts_the_rows_in_the_tails(rng):
    g, r = rng.standard_normal((2, 400, 4))
    found = el.measure(generated=g, reference=r, metrics=["tail_coverage"])["tail_coverage"]
    assert found.note.startswith("20 rows; interval")
    low, high = found.interval
    assert low < found.value < high or found.value in (0, 1)
    assert found.floor is not None


def test_a_reference_without_tails_is_refused():
    ring = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], axis=1)
    corners = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    with pytest.raises(el.InputError, match="no tails"):
        tail_coverage(generated=ring, reference=corners, k=1)


@pytest.mark.parametrize("n", [60, 100])  # fewer and more rows than frequencies
@pytest.mark.parametrize("order", [1, 2])
def test_the_error_of_fkea_is_its_deviation_over_draws(order, n, rng):
    told = {"bandwidth": 3.0, "order": order, "frequencies": 64}
    draws = rng.standard_normal((250, n, 20))
    found = np.std([fkea(x, **told) for x in draws], ddof=1)  # known to 4.5 %
    errors = [fkea_error(x, **told) for x in draws[:60]]
    assert 0.87 < np.mean(errors) / found < 1.18


@pytest.mark.parametrize("n", [60, 100])
def test_the_error_of_fkea_leaves_out_a_twentieth_of_the_rows_at_a_time(n, rng):
    x, told = rng.standard_normal((n, 4)), {"bandwidth": 2.0, "frequencies": 64, "seed": 3}
    groups = np.array_split(rng_for(3, 0, "fourier/groups").permutation(n), GROUPS)
    left = [fkea(np.delete(x, group, axis=0), **told) for group in groups]
    assert len(groups) == 20
    assert fkea_error(x, **told) == pytest.approx(np.sqrt(19 * np.var(left)), rel=1e-9)


@pytest.mark.parametrize(
    ("frequencies", "ratio"),
    [(64, 1.0), (128, 1.0), (64, 2.0)],  # fewer and more than pairs of rows
)
def test_the_error_of_ken_is_its_deviation_over_draws(frequencies, ratio, rng):
    told = {"bandwidth": 3.0, "frequencies": frequencies, "ratio": ratio}
    pairs = rng.standard_normal((250, 2, 100, 6))
    pairs[:, 0][rng.random((250, 100)) < 1 / 3] += 4  # a mode that the reference lacks
    found = np.std([ken(generated=g, reference=r, **told) for g, r in pairs], ddof=1)
    errors = [ken_error(generated=g, reference=r, **told) for g, r in pairs[:60]]
    assert 0.87 < np.mean(errors) / found < 1.18


@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_the_error_of_ken_is_what_a_reference_row_moves_it_by(ratio, rng):
    # Of so many generated rows hardly any error is left. One more copy of row j among m copies of
    # all n moves KEN by about 1/(n m) of the row's influence, whose deviation is the error's √n.
    n, copies = 12, 400
    g, r = rng.standard_normal((6_000, 3)), rng.standard_normal((n, 3))
    g[::2] += 1
    told = {"bandwidth": 3.0, "frequencies": 64, "ratio": ratio}
    many = np.tile(r, (copies, 1))
    before = ken(generated=g, reference=many, **told)
    influence = [
        (ken(generated=g, reference=np.vstack([many, row]), **told) - before) * (len(many) + 1)
        for row in r
    ]
    expected = np.std(influence, ddof=1) / np.sqrt(n)
    assert ken_error(generated=g, reference=r, **told) == pytest.approx(expected, rel=0.03)


def test_spectra_without_anything_new_have_no_interval(rng):
    x = rng.standard_normal((50, 3))
    assert np.isnan(ken_error(generated=x, reference=x, bandwidth=1.0))
    found = measure(generated=x, reference=x.copy(), metrics=["ken"])["ken"]
    assert found.value == 0
    assert found.interval is None
    few = measure(generated=x[:30], reference=x, metrics=["fkea"])["fkea"]
    assert few.interval is None
