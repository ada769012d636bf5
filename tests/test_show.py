import shutil

import pytest

from pipeline import control
from pipeline.schemas.captions import ReviewDecision, ReviewSnapshot
from pipeline.schemas.story import BibleSource
from pipeline.schemas.timeline import Episode
from pipeline.show import open_show


@pytest.fixture
def folder(tmp_path):
    """A show with two (not playable) episodes and subtitles beside one."""
    (tmp_path / "episodes").mkdir()
    (tmp_path / "refs").mkdir()
    (tmp_path / "episodes" / "s01e01.mp4").write_bytes(b"one")
    (tmp_path / "episodes" / "s01e02.mp4").write_bytes(b"two")
    (tmp_path / "episodes" / "s01e01.en.srt").write_text("1")
    (tmp_path / "refs" / "ann.png").write_bytes(b"picture")
    (tmp_path / "refs" / "unused.png").write_bytes(b"holiday")
    (tmp_path / "bible.toml").write_text('[show]\ntitle = "T"\n[[character]]\nrefs = ["refs/ann.png"]\n')
    show_toml(tmp_path, "")
    return tmp_path


def show_toml(folder, more):
    (folder / "show.toml").write_text(f'name = "tiny"\n{more}')


def decision(key):
    return ReviewDecision(
        key=key,
        episode="e",
        clip="c",
        span={"start": 0, "end": 1},
        revision="r",
        by="a@b.c",
        at="2026-04-04T12:00:00Z",
        seconds=1,
        skipped=True,
    )


def test_everything_wrong_with_show_toml_is_named_with_its_line(folder):
    show_toml(folder, 'epsiodes = "*.mkv"\n[settings]\npanel_prot = 1\ncpu_slots = 0\n[steps.step9-fly]\n')
    with pytest.raises(ValueError, match=r"show\.toml:2") as caught:
        open_show(folder)
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"show.toml:{number}" for number in (2, 4, 5, 6)]
    assert "did you mean `episodes`" in lines[0]


def test_a_setting_that_does_not_exist_is_named(folder):
    show_toml(folder, "[settings]\npanel_prot = 1\n")
    with pytest.raises(
        ValueError, match=r"show\.toml:3: settings\.panel_prot: there is no such key: did you mean `panel_port`"
    ):
        open_show(folder)


def test_a_setting_of_a_wrong_type_is_named(folder):
    show_toml(folder, '[settings]\npanel_port = "http"\n')
    with pytest.raises(ValueError, match=r"show\.toml:3: settings\.panel_port"):
        open_show(folder)


def test_the_environment_goes_before_the_file(folder, monkeypatch):
    show_toml(folder, "[settings]\npanel_port = 9000\ncpu_slots = 3\n")
    monkeypatch.setenv("DAILIES_PANEL_PORT", "9100")
    settings = open_show(folder).settings
    assert (settings.panel_port, settings.cpu_slots) == (9100, 3)


def test_a_folder_without_a_show_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"has no show\.toml: `dailies init` makes one"):
        open_show(tmp_path)


def test_a_step_and_a_host_that_places_names_and_nobody_has_are_named_with_their_lines(folder):
    show_toml(
        folder,
        '[places]\nstep2-captions = "local"\nstep2-caption = "gpu"\n[settings]\nssh_config = "x"\nmirror = "ftp:/x"\n',
    )
    with pytest.raises(ValueError, match="show") as caught:
        open_show(folder)
    assert str(caught.value).splitlines() == [
        "show.toml:3: places.step2-captions: there is no such step: did you mean `step2-caption`?",
        "show.toml:4: places.step2-caption: there is no host 'gpu'; there are local, anywhere",
        "show.toml:6: settings.ssh_config: there is no file 'x': write it, or leave the line out",
        "show.toml:7: settings.mirror: 'ftp:/x' is no address: write sftp://user@host/~/folder, s3://… or file:///folder",
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('name = "My Show!"', 1, "name: should be small letters, digits and _, as in `my_show`"),
        ('name = "a"\nsteps = []', 2, "steps: should be a table, but is []"),
        ('name = "a"\n\nname = "b"', 3, "is not TOML: Cannot overwrite a value: it stands there twice"),
        ('name = "a"\n[hosts.GPU]', 2, "a host's name is small letters, digits and _"),
        ('\ufeffname = "a"\nsets = 1', 2, "sets: there is no such key"),
    ],
)
def test_a_mistake_is_told_in_words_for_people(folder, text, line, said):
    (folder / "show.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"show\.toml:{line}: ") as caught:
        open_show(folder)
    assert said in str(caught.value)


def test_an_excluded_episode_that_does_not_exist_is_named_and_all_missing_files_are_told_together(folder):
    show_toml(folder, 'exclude = [\n  "s01e02",\n  "s01e20",\n]\nbible = "story.toml"\n')
    with pytest.raises(ValueError, match="show") as caught:
        open_show(folder).plan()
    first, second = str(caught.value).splitlines()
    assert first == "show.toml:4: exclude[1]: there is no episode 's01e20'; there are s01e01, s01e02"
    assert second.startswith("show.toml:6: bible: there is no file 'story.toml': write one")
    show_toml(folder, 'exclude = ["s01e01", "s01e02"]\n')
    with pytest.raises(ValueError, match=r"show\.toml:2: exclude: leaves no episode"):
        open_show(folder).plan()


def test_a_models_folder_that_is_not_there_is_named_before_anything_runs(folder):
    show_toml(folder, '[steps.step2-transcript-base]\nbeam_size = 2\nmodel = "./whisper"\n')
    show = open_show(folder)
    with pytest.raises(ValueError, match=r"show\.toml:4: .*model: there is no folder '\./whisper'"):
        control.run(show, ["step2-transcript-base"])
    assert not (show.store.root / "runs").exists()


def test_no_episodes_two_of_one_id_and_a_missing_bible_are_refused(folder):
    (folder / "bible.toml").unlink()
    with pytest.raises(ValueError, match=r"show\.toml:1: bible: there is no file 'bible\.toml': write one"):
        open_show(folder).plan()
    (folder / "episodes" / "s01e02.MOV").write_bytes(b"three")
    show_toml(folder, 'episodes = "episodes/*"\n')
    with pytest.raises(ValueError, match=r"s01e02\.MOV and s01e02\.mp4 would both be episode s01e02"):
        open_show(folder).plan()
    show_toml(folder, 'episodes = "films/*"\n')
    with pytest.raises(ValueError, match=r"show\.toml:2: episodes: 'films/\*' matches no file"):
        open_show(folder).plan()


def test_sources_are_the_episodes_their_subtitles_and_the_pictures_that_the_bible_names(folder):
    show = open_show(folder)
    plan = show.plan()
    assert plan.episodes == ["s01e01", "s01e02"]
    episode = show.store.get(plan.outputs["episode", "s01e01"], Episode)
    assert [file.name for file in episode.subtitles] == ["s01e01.en.srt"]
    bible = show.store.get(plan.outputs["bible-source", "show"], BibleSource)
    assert list(bible.pictures) == ["refs/ann.png"]
    assert show.store.get(plan.outputs["review", "show"], ReviewSnapshot).decisions == ()


def test_an_excluded_episode_is_no_episode(folder):
    show_toml(folder, 'exclude = ["s01e02"]\n')
    assert open_show(folder).plan().episodes == ["s01e01"]


def test_a_file_with_a_difficult_name_has_a_plain_id(folder):
    shutil.move(folder / "episodes" / "s01e02.mp4", folder / "episodes" / "My Show [S01E02] - Über.mp4")
    shutil.move(folder / "episodes" / "s01e01.en.srt", folder / "episodes" / "My Show [S01E02] - Über.srt")
    show = open_show(folder)
    plan = show.plan()
    assert plan.episodes == ["My_Show_S01E02_ber", "s01e01"]
    assert len(show.store.get(plan.outputs["episode", "My_Show_S01E02_ber"], Episode).subtitles) == 1


def test_what_lies_in_hidden_folders_is_no_picture_of_the_bible(folder):
    """The store's files are many, and a page must not look at each of them."""
    (folder / "refs" / ".aside").mkdir()
    shutil.copy(folder / "refs" / "ann.png", folder / "refs" / ".aside" / "ann.png")
    with (folder / "bible.toml").open("a") as file:
        file.write("# refs/.aside/ann.png\n")
    show = open_show(folder)
    assert list(show.store.get(show.plan().outputs["bible-source", "show"], BibleSource).pictures) == ["refs/ann.png"]


def test_an_unchanged_file_is_not_read_again_and_a_changed_one_is(folder, monkeypatch):
    first = open_show(folder).plan().outputs
    monkeypatch.setattr("pipeline.engine.fingerprint.of_file", None)
    assert open_show(folder).plan().outputs == first
    monkeypatch.undo()
    (folder / "episodes" / "s01e02.mp4").write_bytes(b"two, longer")
    second = open_show(folder).plan().outputs
    assert {node for node in first if first[node] != second[node]} == {("episode", "s01e02")}


def test_snapshots_are_kept_for_ever_and_equal_ones_are_no_news(folder):
    show = open_show(folder)
    assert not show.keep_snapshot(ReviewSnapshot())
    one, two = (ReviewSnapshot(decisions=(decision(key),)) for key in ("a", "b"))
    assert show.keep_snapshot(one)
    assert not show.keep_snapshot(one)
    assert show.keep_snapshot(two)
    assert show.keep_snapshot(one)
    assert show.store.get(show.latest_snapshot(), ReviewSnapshot) == one
    assert {show.store.get(each, ReviewSnapshot) for each in show.snapshots()} == {one, two}
