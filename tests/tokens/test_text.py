"""The text tokenizer: exact round trips, one token a state value, files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from pi05lite.errors import ConfigError, DataError
from pi05lite.tokens.text import TextTokenizer
from pi05lite.tokens.vocabulary import BOS, EOS, PAD, UNK

CORPUS = ["pick up the red block", "put the cup in the sink", "open the drawer 3 times"] * 3
TRAINED = TextTokenizer.train(CORPUS, 800)


@given(st.text())
def test_every_string_comes_back_exactly(text):
    ids = TRAINED.encode(text)
    assert TRAINED.decode(ids) == text
    assert all(UNK < i < TRAINED.size for i in ids)


def test_the_names_of_the_specials_are_ordinary_text():
    ids = TRAINED.encode("<pad><eos><bos><unk>")
    assert not {PAD, EOS, BOS, UNK} & set(ids)
    assert TRAINED.decode([BOS, *ids, EOS, PAD]) == "<pad><eos><bos><unk>"


@pytest.mark.parametrize("size, forms", [(516, [" {}"]), (762, [" {}", "{}"])])
def test_every_state_value_is_one_token(size, forms):
    tokenizer = TextTokenizer.train(CORPUS, size)
    for form in forms:
        ids = [tokenizer.encode(form.format(k)) for k in range(256)]
        assert all(len(i) == 1 for i in ids)
        assert len({i[0] for i in ids}) == 256
    assert len(tokenizer.encode("State: 12 255 0")) == len(tokenizer.encode("State:")) + 3


def test_words_of_the_corpus_become_short_and_the_size_is_kept():
    assert TRAINED.size <= 800
    assert len(TRAINED.encode("pick up the red block")) == 5
    tight = TextTokenizer.train(CORPUS, 280)
    assert tight.size == 280
    assert len(tight.encode("the red block")) < len("the red block")


def test_training_is_deterministic():
    assert TextTokenizer.train(iter(CORPUS), 800) == TRAINED
    assert TextTokenizer.train(CORPUS, 700) != TRAINED


def test_saved_and_loaded_is_equal(tmp_path):
    TRAINED.save(tmp_path / "text.json")
    loaded = TextTokenizer.load(tmp_path / "text.json")
    assert loaded == TRAINED
    assert loaded.encode("open the cup 12") == TRAINED.encode("open the cup 12")
    assert [f.name for f in tmp_path.iterdir()] == ["text.json"]


def test_reads_a_tokenizer_json_from_elsewhere(tmp_path):
    vocabulary = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "a": 4, "b": 5, "ab": 6}
    Tokenizer(models.BPE(vocabulary, [("a", "b")])).save(str(tmp_path / "tokenizer.json"))
    tokenizer = TextTokenizer.load(tmp_path / "tokenizer.json")
    assert tokenizer.size == 7
    assert tokenizer.encode("abb") == [6, 5]


def test_errors_say_what_is_wrong(tmp_path):
    with pytest.raises(ConfigError, match="at least 260"):
        TextTokenizer.train(CORPUS, 259)
    with pytest.raises(DataError, match="text ids"):
        TRAINED.decode([TRAINED.size])
    with pytest.raises(DataError, match="Unicode"):
        TRAINED.encode("\ud800")
    TRAINED.save(tmp_path / "text.json")
    whole = (tmp_path / "text.json").read_text(encoding="utf-8")
    (tmp_path / "text.json").write_text(whole[: len(whole) // 2], encoding="utf-8")
    with pytest.raises(DataError, match="text.json"):
        TextTokenizer.load(tmp_path / "text.json")
    with pytest.raises(DataError, match="absent.json"):
        TextTokenizer.load(tmp_path / "absent.json")
    Tokenizer(models.BPE({"a": 0}, [])).save(str(tmp_path / "other.json"))
    with pytest.raises(ConfigError, match="ids 0 to 3"):
        TextTokenizer.load(tmp_path / "other.json")
