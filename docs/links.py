"""A hook of MkDocs: links that leave docs/ lead to the repository; pictures of benchmarks/ are copied into the site."""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
# [text](target) and ![text](target "title"), where the target is relative.
_LINK = re.compile(r"(!?\[[^\]]*\]\()(\.\./[^)#\s]+)(#[^)\s]*)?([^)]*\))")


def on_files(files: Any, config: Any) -> Any:
    """Add the pictures of benchmarks/ to the files of the site, under the same path."""
    for picture in sorted((ROOT / "benchmarks").glob("**/*.png")):
        path = picture.relative_to(ROOT).as_posix()
        files.append(File.generated(config, path, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Lead the links of one page that leave docs/ elsewhere; what they name is there on the disk, or it is an error."""
    folder = PurePosixPath("docs", page.file.src_uri).parent

    def lead(match: re.Match[str]) -> str:
        start, target, anchor, end = match[1], match[2], match[3] or "", match[4]
        path = os.path.normpath(folder / target)
        if path.startswith("docs/"):
            return match[0]
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"{page.file.src_uri}: there is no {path}")
        if path.endswith(".png"):
            return start + os.path.relpath(path, folder.relative_to("docs")) + end
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{start}{config.repo_url}/{kind}/main/{path}{anchor}{end}"

    return _LINK.sub(lead, markdown)
