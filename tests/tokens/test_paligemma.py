"""PaliGemma's tokenizer from the user's own file, in either form."""

import pytest

from pi05lite.errors import ConfigError, DataError
from pi05lite.tokens.paligemma import paligemma
from pi05lite.tokens.text import SPECIALS, TextTokenizer
from pi05lite.tokens.vocabulary import Vocabulary

CORPUS = ["Task: pick up the red cup, State: 12 255 0;", "put the spoon in the sink",
          "close the drawer and wipe the table"] * 20


@pytest.fixture(scope="module")
def spm(tmp_path_factory):
    """A small SentencePiece file made like PaliGemma's: BPE with byte fallback, specials 0 to 3."""
    import io

    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.Train(
        sentence_iterator=iter(CORPUS), model_writer=model, model_type="bpe", vocab_size=320,
        byte_fallback=True, split_digits=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2,
        unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", unk_piece="<unk>",
        minloglevel=2)
    path = tmp_path_factory.mktemp("spm") / "tokenizer.model"
    path.write_bytes(model.getvalue())
    return path


def test_a_sentencepiece_file_gives_its_own_ids(spm):
    from sentencepiece import SentencePieceProcessor

    theirs = SentencePieceProcessor(model_file=str(spm))
    ours = TextTokenizer.load(spm)
    assert ours.size == theirs.get_piece_size() == 320
    for text in ("Task: pick up the red cup, State: 12 255 0;\nAction: ", "naïve – 机器人", ""):
        assert ours.encode(text) == theirs.encode(text)
        assert ours.decode(ours.encode(text)) == text


def test_saved_and_loaded_it_is_the_same(spm, tmp_path):
    for tokenizer in (TextTokenizer.load(spm), TextTokenizer.load(spm).limited(300)):
        tokenizer.save(tmp_path / "text.json")
        assert TextTokenizer.load(tmp_path / "text.json") == tokenizer
    assert TextTokenizer.load(tmp_path / "text.json").size == 300


def test_a_tokenizer_json_is_read_too(tmp_path):
    TextTokenizer.train(CORPUS, 400).save(tmp_path / "tokenizer.json")
    assert paligemma(tmp_path / "tokenizer.json", Vocabulary(400, 10)).encode("the red cup")


def test_rare_words_whose_ids_belong_to_actions_are_refused(spm):
    whole = TextTokenizer.load(spm)
    most = max(whole.encode("the sink"))
    tokenizer = paligemma(spm, Vocabulary(text=most, actions=32))
    assert tokenizer.size == most
    with pytest.raises(DataError, match="other words"):
        tokenizer.encode("the sink")


def test_the_file_is_found_by_its_variable(spm, monkeypatch):
    monkeypatch.setenv("PI05LITE_TOKENIZER", str(spm))
    assert paligemma().encode("cup") == TextTokenizer.load(spm).encode("cup")


def test_without_a_file_the_message_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("PI05LITE_TOKENIZER", raising=False)
    monkeypatch.setenv("OPENPI_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a: None)
    with pytest.raises(ConfigError, match="hf download google/paligemma"):
        paligemma()
    with pytest.raises(ConfigError, match="none at .*nowhere"):
        paligemma(tmp_path / "nowhere.model")


def test_openpis_cache_is_searched(spm, monkeypatch, tmp_path):
    folder = tmp_path / "big_vision"
    folder.mkdir()
    (folder / "paligemma_tokenizer.model").write_bytes(spm.read_bytes())
    monkeypatch.delenv("PI05LITE_TOKENIZER", raising=False)
    monkeypatch.setenv("OPENPI_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a: None)
    assert paligemma().size == 320


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "x.model").write_bytes(b"\x0anonsense")
    with pytest.raises(DataError, match="SentencePiece"):
        TextTokenizer.load(tmp_path / "x.model")


def test_specials_elsewhere_are_refused(tmp_path):
    import io

    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.Train(sentence_iterator=iter(CORPUS), model_writer=model, vocab_size=30,
                               minloglevel=2)
    (tmp_path / "t5.model").write_bytes(model.getvalue())
    with pytest.raises(ConfigError, match=SPECIALS[0]):
        TextTokenizer.load(tmp_path / "t5.model")
