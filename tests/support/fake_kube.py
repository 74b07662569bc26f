"""An API server in memory: objects, resourceVersions, merge patches, conflicts. No controllers.

What is kept is never changed in place, so that it is handed out as it is: a change makes a new
object that shares with the old one whatever has stayed.
"""

import base64
import copy
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import NamedTuple

from voicepod.kube.client import CORDONED, SECRETS, Kube, Object, Page, Resource
from voicepod.kube.errors import Conflict, NotFound


class Call(NamedTuple):
    """One request, as a test looks for it."""

    verb: str
    plural: str
    namespace: str | None
    name: str


Watcher = Callable[[str, Object], None]
"""Called with ADDED, MODIFIED or DELETED and the object."""


class FakeKube(Kube):
    """Behaves like ``Kube`` against a real API server, where it matters to our code.

    ``fault``, if set, is awaited with each request first: it may take its time, and raise an
    exception of ``kube.errors``. What is deleted is gone at once, unless it is of a kind in
    ``graceful``: that is for somebody else to ``remove``, as the kubelet does with pods.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.calls: list[Call] = []
        self.fault: Callable[[Call], Awaitable[None]] | None = None
        self.graceful: frozenset[Resource] = frozenset()
        self._now = now
        self._objects: dict[Resource, dict[tuple[str, str], Object]] = {}
        self._watchers: dict[Resource, list[Watcher]] = {}
        self._version = 0
        self._names = 0

    def watch(self, resource: Resource, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` with each change from now on, until what is returned is called."""
        watchers = self._watchers.setdefault(resource, [])
        watchers.append(watcher)
        return lambda: watchers.remove(watcher)

    def put(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Put an object there as it is, status and all, without a request being seen."""
        key = (namespace, body["metadata"]["name"])
        old = self._kind(resource).get(key)
        identity = {k: old["metadata"][k] for k in ("uid", "creationTimestamp")} if old else {}
        stored = self._stamped(
            resource, namespace, {**body, "metadata": {**identity, **body["metadata"]}}
        )
        return self._store(resource, key, stored, "MODIFIED" if old else "ADDED")

    def objects(self, resource: Resource) -> list[Object]:
        """Return copies of all objects of a kind, without a request being seen."""
        return copy.deepcopy(self.kept(resource))

    def kept(self, resource: Resource) -> list[Object]:
        """Return all objects of a kind themselves, which nobody may change."""
        return list(self._kind(resource).values())

    def find(self, resource: Resource, namespace: str, name: str) -> Object:
        """Return an object itself, which nobody may change. Raises NotFound."""
        try:
            return self._kind(resource)[(namespace, name)]
        except KeyError:
            raise NotFound(f'{resource.plural} "{name}" not found') from None

    @property
    def version(self) -> str:
        """The resourceVersion of the latest change."""
        return str(self._version)

    def writes(self) -> list[Call]:
        """Return the requests that were to change something."""
        return [call for call in self.calls if call.verb not in ("get", "list")]

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        await self._called("get", resource, namespace, name)
        return self.find(resource, namespace, name)

    async def pages(
        self,
        resource: Resource,
        namespace: str | None,
        label_selector: str = "",
        field_selector: str = "",
        pause: float = 0.0,
        size: int = 0,
    ) -> AsyncGenerator[Page, None]:
        await self._called("list", resource, namespace, "")
        found = [
            item
            for (place, _), item in self._kind(resource).items()
            if namespace in (None, place)
            and _selected(item, label_selector)
            and (field_selector != CORDONED or item["spec"].get("unschedulable"))
        ]
        yield Page(found, self.version)

    async def create(
        self, resource: Resource, namespace: str, body: Object, dry_run: bool = False
    ) -> Object:
        body = self._named(body)
        name = body["metadata"]["name"]
        await self._called("create", resource, namespace, name)
        if (namespace, name) in self._kind(resource):
            raise Conflict(f'{resource.plural} "{name}" already exists')
        fresh = {k: v for k, v in body.items() if k != "status"}
        stored = self._stamped(resource, namespace, fresh)
        if dry_run:
            return stored
        return self._store(resource, (namespace, name), stored, "ADDED")

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Object, subresource: str = ""
    ) -> Object:
        await self._called("patch", resource, namespace, name)
        old = self.find(resource, namespace, name)
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted not in (None, old["metadata"]["resourceVersion"]):
            raise Conflict(f'{resource.plural} "{name}" has been modified')
        if body.get("metadata", {}).get("uid") not in (None, old["metadata"]["uid"]):
            raise Conflict(f'{resource.plural} "{name}" has another uid')
        # A subresource changes nothing beside itself, and everything else leaves the status alone.
        part = {
            key: value
            for key, value in body.items()
            if (key == "status") == (subresource == "status")
        }
        new = merged(old, part)
        if new == old:
            return old
        return self._store(resource, (namespace, name), new, "MODIFIED")

    async def apply(self, resource: Resource, namespace: str, body: Object) -> Object:
        name = body["metadata"]["name"]
        await self._called("apply", resource, namespace, name)
        old = self._kind(resource).get((namespace, name), {})
        status = {"status": old["status"]} if "status" in old else {}
        return self.put(resource, namespace, {**body, **status})

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        uid: str,
        version: int | None = None,
        grace: int | None = None,
    ) -> None:
        await self._called("delete", resource, namespace, name)
        metadata = self.find(resource, namespace, name)["metadata"]
        if metadata["uid"] != uid:
            raise Conflict(f'{resource.plural} "{name}" has another uid')
        if version is not None and metadata["resourceVersion"] != str(version):
            raise Conflict(f'{resource.plural} "{name}" has been modified')
        self.let_go(resource, namespace, name, grace)

    def let_go(
        self, resource: Resource, namespace: str, name: str, grace: int | None = None
    ) -> None:
        """Delete an object, without a request being seen."""
        item = self.find(resource, namespace, name)
        if resource not in self.graceful:
            self.remove(resource, namespace, name)
        elif "deletionTimestamp" not in item["metadata"]:
            metadata = {**item["metadata"], "deletionTimestamp": self._moment()}
            if grace is not None:
                metadata["deletionGracePeriodSeconds"] = grace
            self._store(resource, (namespace, name), {**item, "metadata": metadata}, "MODIFIED")

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        """Take an object away, without a request being seen."""
        gone = self._kind(resource).pop((namespace, name))
        self._tell(resource, "DELETED", self._versioned(gone))

    async def _called(
        self, verb: str, resource: Resource, namespace: str | None, name: str
    ) -> None:
        call = Call(verb, resource.plural, namespace, name)
        self.calls.append(call)
        if self.fault:
            await self.fault(call)

    def _named(self, body: Object) -> Object:
        """Give a body with ``generateName`` a name that nothing has."""
        metadata = body["metadata"]
        if "name" in metadata:
            return body
        self._names += 1
        return {
            **body,
            "metadata": {**metadata, "name": f"{metadata['generateName']}{self._names:05}"},
        }

    def _kind(self, resource: Resource) -> dict[tuple[str, str], Object]:
        return self._objects.setdefault(resource, {})

    def _stamped(self, resource: Resource, namespace: str, body: Object) -> Object:
        metadata = {
            "uid": f"{self._version:08x}-{resource.plural}",
            "generation": 1,
            "creationTimestamp": self._moment(),
            **body["metadata"],
            "namespace": namespace,
        }
        return {**body, "metadata": metadata}

    def _moment(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _versioned(self, item: Object) -> Object:
        self._version += 1
        return {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._version)}}

    def _store(self, resource: Resource, key: tuple[str, str], item: Object, type_: str) -> Object:
        old = self._kind(resource).get(key)
        new = self._versioned(item)
        if old and old.get("spec") != new.get("spec"):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        self._kind(resource)[key] = new
        self._tell(resource, type_, new)
        return new

    def _tell(self, resource: Resource, type_: str, item: Object) -> None:
        for watcher in list(self._watchers.get(resource, [])):
            watcher(type_, item)


def put_secret(kube: FakeKube, namespace: str, name: str, **values: str) -> None:
    """Put a Secret with these values there."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    kube.put(SECRETS, namespace, {"metadata": {"name": name}, "data": data})


def _selected(item: Object, selector: str) -> bool:
    labels = item["metadata"].get("labels", {})
    for term in re.findall(r"[^,(]+(?:\([^)]*\))?", selector):
        name, among, values = term.partition(" in ")
        name, equals, value = name.partition("=")
        if name.startswith("!"):
            selected = name[1:] not in labels
        elif among:
            selected = labels.get(name) in values.strip("()").split(",")
        else:
            selected = labels.get(name) == value if equals else name in labels
        if not selected:
            return False
    return True


def merged(old: Object, patch: Object) -> Object:
    """JSON merge patch, RFC 7386."""
    new = dict(old)
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        elif isinstance(value, dict):
            new[key] = merged(new[key] if isinstance(new.get(key), dict) else {}, value)
        else:
            new[key] = value
    return new
