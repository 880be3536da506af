"""Words that users wrote for a shell: cut as bash cuts them, filled in by the shell, and never falling apart."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from jobclusters.batch.script import command
from jobclusters.spec.shell_words import ShellWord, one_word, split

VARIABLES = {"X": "ab", "SPACES": "a  b", "HOME": "/home/me", "PATH": "/usr/bin:/bin"}


def in_shell(text, shell="bash"):
    """Let a shell read a command's words."""
    script = f"printf '%s\\0' . {text}"
    done = subprocess.run([shell, "-c", script], env=VARIABLES, capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[1:-1]


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$(echo a  b)", ["a b"]),
        ("$(echo ')' \"a  b\")", [") a  b"]),
        ('`echo "a  b"`/c', ["a  b/c"]),
        ("--x=tcp://$(echo host)", ["--x=tcp://host"]),
        ("--x=$((1 + (2 * 3)))", ["--x=7"]),
        ("--x=${SPACES:-c}", ["--x=a  b"]),
        ("--x=${NONE:-c d} e", ["--x=c d", "e"]),
        ("--x=${NONE:-~/y}", ["--x=/home/me/y"]),
        ("--x=${SPACES%b}", ["--x=a  "]),
        ("--x=${NONE:-${SPACES}}", ["--x=a  b"]),
        ('$X"y"${X}y', ["abyaby"]),
        ("--x $SPACES", ["--x", "a", "b"]),
        ("--x ${SPACES}", ["--x", "a", "b"]),
        ("--x ${SPACES:+$SPACES c} $NONE", ["--x", "a", "b", "c"]),
        ('"$SPACES" "$NONE"', ["a  b", ""]),
        ("'$SPACES' '$(echo)' \\$SPACES \"\\$X\"", ["$SPACES", "$(echo)", "$SPACES", "$X"]),
        ("~ ~/x --x=~/y --x=~ x~ ~root '~'", ["/home/me", "/home/me/x", "--x=/home/me/y", "--x=/home/me", "x~", "~root", "~"]),
        ("a;b c&d >e *.f {g,h} #i", ["a;b", "c&d", ">e", "*.f", "{g,h}", "#i"]),
        ("$ $1 5$ $$", ["$", "$1", "5$", "$$"]),
        ("", []),
    ],
)  # fmt: skip
def test_split(shell, text, words):
    assert in_shell(command(split(text)), shell) == words


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('$SPACES/it\'s "mine"', 'a  b/it\'s "mine"'),
        ("${NONE:-/tmp}/a b", "/tmp/a b"),
        ("$(echo a  b) \\ c", "a b \\ c"),
        ("`echo a`", "a"),
        ("~/$SPACES", "/home/me/a  b"),
        ("~root ~ $", "~root ~ $"),
        ("$SPACES", "a  b"),
        ("C:\\", "C:\\"),
        ("", ""),
    ],
)
def test_one(shell, text, word):
    assert in_shell(command([one_word(text)]), shell) == [word]


FRAGMENTS = ["a", "/", "--x=", " ", "'q q'", '"d d"', "\\ ", "\\$", "$X", "${X}", "${U:-u}", "$(echo c)", "`echo e`", "$((1+2))",
             '"$X d"', '"$(echo "f-f")"', "'$X'", " ~/", "'", '"', "=", "\\\\", '\\"']  # fmt: skip


@settings(max_examples=200)
@given(text=st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join))
@example(text="a$X'q q'`echo e`\"$X d\" $X")
@example(text="''$X''q q''")
def test_split_reads_as_bash_does(text):
    """As long as nothing that is filled in holds spaces: those would fall apart in dask-jobqueue."""
    assume("=~" not in text)
    try:
        words = split(text)
    except ValueError:
        with pytest.raises(subprocess.CalledProcessError):
            in_shell(text)
        return
    assert in_shell(command(words)) == in_shell(text)


plain = st.text(st.characters(exclude_characters="$`~", exclude_categories=["C"]), max_size=12)


@given(text=plain | st.text("a '\"\\", max_size=12))
def test_without_variables_words_are_what_shlex_says(text):
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        with pytest.raises(ValueError, match=r"closing|backslash"):
            split(text)
        return
    assert split(text) == words
    assert one_word(text) == text


@pytest.mark.parametrize("text", ["'", '"', "a'b", "\\", "$(", "$(a", "${X", "${X:-", "`", "`a", '"$("', "$(')", "$((1)", '"`a"'])  # fmt: skip
def test_what_is_not_closed_is_refused(text):
    with pytest.raises(ValueError, match=r"closing|backslash"):
        split(text)
    with pytest.raises(ValueError, match=r"closing|backslash"):
        split(f"--x={text}")


def test_a_word_of_the_shell_is_not_taken_for_its_text():
    """Else a cache of scripts would give the one for the other."""
    assert one_word("$X") == ShellWord('"$X"') != '"$X"'
