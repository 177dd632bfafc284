"""The S3 API that tests write to answers as moto does."""

import random
import urllib.request
from collections.abc import Iterator

import obstore
import pytest
from moto.server import ThreadedMotoServer
from obstore.exceptions import AlreadyExistsError, BaseError, NotModifiedError, PreconditionError
from obstore.store import S3Store

KEYS = ["a", "a b/c", "a/b", "a/b/c", "a/b&<d>", "a/é", "b", "b/c"]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


def bucket(url: str, name: str) -> S3Store:
    with urllib.request.urlopen(urllib.request.Request(f"{url}/{name}", method="PUT")):
        return S3Store(
            name,
            endpoint=url,
            access_key_id="test",
            secret_access_key="test",
            region="us-east-1",
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )


def put(store: S3Store, chance: random.Random) -> object:
    key, body, how = chance.choice(KEYS), chance.randbytes(chance.randrange(99)), chance.random()
    if how < 0.3:
        return obstore.put(store, key, body, attributes={"who": "me"})["e_tag"]
    if how < 0.4:
        return obstore.copy(store, chance.choice(KEYS), key)
    if how < 0.6:
        return obstore.put(store, key, body, mode="create")["e_tag"]
    tag = obstore.head(store, key)["e_tag"] if how < 0.8 else '"none"'
    return obstore.put(store, key, body, mode={"e_tag": tag})["e_tag"]


def get(store: S3Store, chance: random.Random) -> object:
    key, start = chance.choice(KEYS), chance.randrange(60)
    if chance.random() < 0.5:
        tag = obstore.head(store, key)["e_tag"] if chance.random() < 0.5 else "none"
        answer = obstore.get(store, key, options={"if_none_match": tag})
        told = answer.meta["e_tag"], answer.meta["size"], answer.attributes.get("who")
        return bytes(answer.bytes()), *told
    ranges: list[object] = [(start, start + 30), {"offset": start}, {"suffix": start + 1}]
    answer = obstore.get(store, key, options={"range": chance.choice(ranges)})
    return bytes(answer.bytes()), answer.range, answer.meta["size"]


def look(store: S3Store, chance: random.Random) -> object:
    prefix = chance.choice(["", "a", "a/b", "none"])
    found = obstore.list_with_delimiter(store, prefix)
    every = [one for page in obstore.list(store, prefix) for one in page]
    told = [(one["path"], one["size"], one["e_tag"]) for one in [*found["objects"], *every]]
    return told, found["common_prefixes"]


def delete(store: S3Store, chance: random.Random) -> object:
    return obstore.delete(store, chance.sample(KEYS, chance.randrange(1, 3)))


def answers(store: S3Store, seed: int) -> list[object]:
    chance, told = random.Random(seed), list[object]()
    for _ in range(300):
        step = chance.choice([put, put, put, get, get, look, delete])
        try:
            told.append(step(store, chance))
        except (BaseError, OSError) as error:
            told.append(type(error))
    return told


def test_it_answers_as_moto_does(moto: str, s3_url: str) -> None:
    ours, theirs = (answers(bucket(url, "alike"), 1) for url in (s3_url, moto))
    assert ours == theirs
    refused = {AlreadyExistsError, NotModifiedError, PreconditionError, FileNotFoundError}
    assert refused <= {one for one in ours if isinstance(one, type)}


def test_a_long_list_comes_in_pages(s3_url: str) -> None:
    store = bucket(s3_url, "pages")
    keys = [f"{k // 3:03}/{k}" for k in range(2200)]
    for key in keys:
        obstore.put(store, key, b"")
    assert [one["path"] for page in obstore.list(store) for one in page] == sorted(keys)
    assert len(obstore.list_with_delimiter(store)["common_prefixes"]) == 734
