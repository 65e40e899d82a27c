"""Findings at mbarriers, and at copies that nobody waits for."""

import numpy as np
import pytest

from tests.unit.ptx.asynchronous_cases import HEAD, PRIMITIVES
from tests.unit.ptx.run_case import run_words

WORDS = np.arange(1024, dtype=np.uint32)
#: One tile: each thread writes it, arrives, waits and reads what another one wrote.
EXCHANGE = """__shared__ u64 b; __shared__ unsigned tile[64];
if (threadIdx.x == 0) init(&b, COUNT);
__syncthreads();
tile[threadIdx.x] = in[threadIdx.x];
ARRIVE
WAIT
out[threadIdx.x] = tile[63 - threadIdx.x];"""
#: A producer, the first warp, and a consumer, the second, over stages.
PIPELINE = """__shared__ u64 full[2], empty[2]; __shared__ unsigned tiles[2][32];
if (threadIdx.x == 0) for (int s = 0; s < 2; ++s) { init(&full[s], 32); init(&empty[s], 32); }
__syncthreads();
const int lane = threadIdx.x % 32;
if (threadIdx.x < 32) for (int t = 0; t < 6; ++t) {
wait(&empty[t % 2], t / 2 % 2 ^ 1);
tiles[t % 2][lane] = in[t * 32 + lane];
arrive(&full[t % 2]);
} else { unsigned sum = 0; for (int t = 0; t < 6; ++t) {
wait(&full[t % 2], t / 2 % 2);
sum += tiles[t % 2][31 - lane];
arrive(&empty[t % 2]);
} out[lane] = sum; }"""
#: A tile that comes and goes by bulk copies.
BULK = """__shared__ u64 b; __shared__ __align__(128) unsigned tile[64];
if (threadIdx.x == 0) { init(&b, 1); fence_proxies(); }
__syncthreads();
if (threadIdx.x == 0) { arrive_expect_tx(&b, 256);
load_bulk(tile, in, 256, &b); }
wait(&b, 0);
tile[threadIdx.x] += 1;
fence_proxies();
__syncthreads();
if (threadIdx.x == 0) {
store_bulk(out, tile, 256);
commit_bulk();
wait_bulk_read();
}
__syncthreads();
tile[threadIdx.x] = 7;"""


def found(body, *changes, block=64, seed=None):
    """The findings of a kernel after some replacements, lines counted from its body's first."""
    for old, new in changes:
        assert body.count(old) == 1, old
        body = body.replace(old, new)
    source = f'#line 1 "/cuda/primitives.h"\n{PRIMITIVES}{HEAD}#line 1 "case.cu"\n{body}\n}}\n'
    words, result = run_words(source, 1, block, WORDS, 256, seed=seed)
    return words, [(each.kind, each.line, each.message) for each in result.findings]


def exchange(count="64", arrive="u64 state = arrive(&b);", wait="while (!test_wait(&b, state)) {}"):
    return found(EXCHANGE, ("COUNT", count), ("ARRIVE", arrive), ("WAIT", wait))


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize("body", [PIPELINE, BULK])
def test_right_kernels_have_no_finding(body, seed):
    assert found(body, seed=seed)[1] == []


def test_an_arrival_orders_what_came_before_it():
    words, findings = exchange()
    assert findings == []
    assert words[:64].tolist() == list(range(63, -1, -1))


def test_an_arrival_without_a_wait_orders_nothing():
    _, findings = exchange(wait="")
    assert [each[:2] for each in findings] == [("race", 7)]


def test_a_phase_that_never_completes_names_who_is_missing():
    _, findings = exchange("64", "if (threadIdx.x < 40) arrive(&b);", "wait(&b, 0);")
    ((kind, line, message),) = findings
    assert (kind, line) == ("deadlock", 6)
    assert "phase 0 of mbarrier b, which never completes: 40 of 64 arrivals came" in message
    assert "threads (0, 0, 0) to (39, 0, 0)" in message
    assert "threads (40, 0, 0) to (63, 0, 0) of the block did not arrive" in message


def test_bytes_that_nobody_copies():
    _, findings = found(BULK, ("arrive_expect_tx(&b, 256)", "arrive_expect_tx(&b, 512)"))
    assert findings[0][:2] == ("deadlock", 6)
    assert "256 bytes that expect_tx announced were not copied" in findings[0][2]


def test_more_arrivals_than_a_phase_expects():
    _, findings = exchange("32")
    assert findings[0][:2] == ("barrier", 5)
    assert "64 arrivals come together at mbarrier b, of which its phase lacks 32" in findings[0][2]


def test_a_state_of_an_old_phase():
    _, findings = exchange("64", "u64 state = arrive(&b); wait(&b, 0); arrive(&b); wait(&b, 1);")
    assert [each[:2] for each in findings] == [("barrier", 6)]
    assert "two phases have completed" in findings[0][2]


@pytest.mark.parametrize(
    ("change", "kind", "line", "words"),
    [
        (("init(&b, COUNT)", "out[0] = 0"), "barrier", 5, "mbarrier.init has not run"),
        (("__syncthreads();", ""), "race", 5, "uses as an mbarrier"),
        (("init(&b, COUNT)", "init(&b, 0)"), "barrier", 2, "expected 1 to 1048575"),
        (("__syncthreads();", "__syncthreads(); if (!threadIdx.x) init(&b, 64); __syncthreads();"),
         "barrier", 3, "execute mbarrier.inval before"),
        (("__syncthreads();", "__syncthreads(); if (!threadIdx.x) b = 0; __syncthreads();"),
         "barrier", 5, "something has overwritten it"),
    ],
)  # fmt: skip
def test_mbarriers_that_are_not_in_order(change, kind, line, words):
    changes = [change]
    if "COUNT" not in change[0]:
        changes.append(("COUNT", "64"))
    _, findings = found(
        EXCHANGE, *changes, ("ARRIVE", "u64 s = arrive(&b);"), ("WAIT", "test_wait(&b, s);")
    )
    assert any(each[:2] == (kind, line) and words in each[2] for each in findings), findings


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("wait(&full[t % 2], t / 2 % 2);", "wait(&full[t % 2], t / 2 % 2 ^ 1);", 10),
        ("wait(&empty[t % 2], t / 2 % 2 ^ 1);", "", 10),
        ("wait(&full[t % 2], t / 2 % 2);", "wait(&full[0], t / 2 % 2);", 11),
        ("arrive(&empty[t % 2]);\n", "if (t != 3) arrive(&empty[t % 2]);\n", 6),
    ],
)
def test_pipelines_with_a_mistake(old, new, line):
    _, findings = found(PIPELINE, (old, new))
    kinds = {kind for kind, at, _ in findings if at == line}
    assert kinds & {"race", "deadlock", "uninitialised"}, findings


def test_a_barrier_with_a_count_orders_only_who_takes_part():
    body = """__shared__ unsigned tile[32];
    if (threadIdx.x < 32) tile[threadIdx.x] = in[threadIdx.x];
    if (threadIdx.x < 32) asm volatile("bar.arrive 1, 64;" ::: "memory");
    if (threadIdx.x >= 64) asm volatile("bar.sync 2, 32;" ::: "memory");
    if (threadIdx.x / 32 == 1) asm volatile("bar.sync 1, 64;" ::: "memory");
    if (threadIdx.x / 32 == WARP) out[threadIdx.x] = tile[threadIdx.x % 32];"""
    assert found(body, ("WARP", "1"), block=96)[1] == []
    _, findings = found(body, ("WARP", "2"), block=96)
    assert [each[:2] for each in findings] == [("race", 6)]


def test_barriers_with_counts_pass_on_what_they_order():
    body = """__shared__ unsigned tile[32];
    if (threadIdx.x < 32) { tile[threadIdx.x] = 1; asm volatile("bar.sync 1, 64;" ::: "memory"); }
    else if (threadIdx.x < 64) asm volatile("bar.sync 1, 64; bar.sync 2, 64;" ::: "memory");
    else { asm volatile("bar.sync 2, 64;" ::: "memory"); out[threadIdx.x] = tile[0]; }"""
    assert found(body, block=96)[1] == []


def test_one_lane_may_arrive_for_its_warp():
    changes = (
        ("init(&empty[s], 32)", "init(&empty[s], 1)"),
        ("arrive(&empty[t % 2]);\n", "SYNC if (lane == 0) arrive(&empty[t % 2]);\n"),
    )
    assert found(PIPELINE, *changes, ("SYNC", "__syncwarp();"))[1] == []
    _, findings = found(PIPELINE, *changes, ("SYNC", ""))
    assert {each[:2] for each in findings} == {("race", 7)}


@pytest.mark.parametrize(
    ("old", "new", "kind", "line", "words"),
    [
        ("wait(&b, 0);", "", "race", 7, "nothing has waited for that copy"),
        ("fence_proxies();\n__s", "__s", "race", 10, "fence.proxy.async.shared::cta"),
        ("wait_bulk_read();", "", "race", 11, "wait_group.read 0"),
        ("commit_bulk();", "", "race", 11, "commit_group"),
        ("load_bulk(tile, in, 256, &b)", "load_bulk(tile, in, 248, &b)", "misaligned", 5,
         "248 bytes; expected a multiple of 16"),
        ("load_bulk(tile, in, 256, &b)", "load_bulk(tile, in + 1, 256, &b)", "misaligned", 5,
         "no multiple of 16"),
        ("store_bulk(out, tile, 256)", "store_bulk(out + 2, tile, 256)", "misaligned", 11, "16"),
        ("store_bulk(out, tile, 256)", "store_bulk(out + 224, tile, 256)", "out_of_bounds", 11,
         "256 bytes of out are written, 128 past its end"),
        ("load_bulk(tile, in, 256, &b)", "load_bulk(tile, in, 512, &b)", "out_of_bounds", 5,
         "512 bytes of tile are written, 256 past its end"),
    ],
)  # fmt: skip
def test_bulk_copies_with_a_mistake(old, new, kind, line, words):
    _, findings = found(BULK, (old, new))
    assert any(each[:2] == (kind, line) and words in each[2] for each in findings), findings


def test_a_copy_that_is_begun_while_others_still_read():
    body = """__shared__ __align__(16) unsigned tile[256];
    copy_16(tile + threadIdx.x * 4, in + threadIdx.x * 4);
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    out[threadIdx.x] = tile[255 - threadIdx.x];
    SYNC
    copy_16(tile + threadIdx.x * 4, in + 256 + threadIdx.x * 4);
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    out[threadIdx.x] += tile[255 - threadIdx.x];"""
    assert found(body, ("SYNC", "__syncthreads();"))[1] == []
    _, findings = found(body, ("SYNC", ""))
    assert [each[:2] for each in findings] == [("race", 7)]


def test_a_stage_whose_last_copy_nobody_waits_for_has_old_values():
    body = """__shared__ __align__(16) unsigned tile[256];
    for (int t = 0; t < 2; ++t) {
    copy_16(tile + threadIdx.x * 4, in + t * 256 + threadIdx.x * 4);
    if (t < LAST) asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    out[threadIdx.x] = tile[255 - threadIdx.x];
    __syncthreads(); }"""
    assert found(body, ("LAST", "2"))[1] == []
    _, findings = found(body, ("LAST", "1"))
    assert {each[:2] for each in findings} == {("race", 6)}
    assert "what an asynchronous copy writes in tile" in findings[0][2]


def test_a_finding_inside_a_function_says_who_calls_it():
    source = f"""__device__ unsigned last(const unsigned* tile) {{ return tile[63 - threadIdx.x]; }}
    {HEAD}__shared__ unsigned tile[64];
    tile[threadIdx.x] = in[threadIdx.x];
    out[threadIdx.x] = last(tile); }}"""
    _, result = run_words(source, 1, 64, WORDS, 256)
    (finding,) = result.findings
    assert (finding.line, finding.call_line, finding.other_line) == (1, 5, 4)
    assert "case.cu:1, called at line 5: reads what" in str(finding)
