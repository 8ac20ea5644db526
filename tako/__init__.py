"""tako puts LLM agents inside other programs: blocking, under trio or under asyncio.

    import tako

    agent = tako.SingleAgent(tako.providers.OpenAI("gpt-4o-mini"))
    print(agent.run_sync("How many arms has an octopus?").text)

Every public name is loaded when it is first asked for (PEP 562), so `import tako` costs next to
nothing and loads no HTTP, no event loop and no Pydantic.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tako import (
        effects,
        errors,
        events,
        guards,
        journal,
        mcp,
        model_names,
        models,
        orchestrator,
        orchestrators,
        providers,
        routers,
        steering,
        testing,
        tools,
        verifiers,
    )
    from tako.cancellation import CancellationToken
    from tako.errors import (
        Cancelled,
        Interrupted,
        InvalidInput,
        OutputInvalid,
        ProtocolError,
        ProviderError,
        RateLimited,
        SteeringError,
        TakoError,
        TimedOut,
        ToolError,
        TransportError,
    )
    from tako.journal import Journal
    from tako.models import (
        CacheControl,
        Capabilities,
        ChatRequest,
        ChatResponse,
        ContentPart,
        Message,
        Principal,
        Role,
        Thinking,
        ToolSchema,
        Usage,
    )
    from tako.orchestrators.ab_mcts import AbMcts
    from tako.orchestrators.agent_run import AgentRun
    from tako.orchestrators.approval import ApprovalRequest
    from tako.orchestrators.conductor import Conductor
    from tako.orchestrators.decisions import Answered, Approved, Denied
    from tako.orchestrators.result import RunResult
    from tako.orchestrators.self_caller import SelfCaller
    from tako.orchestrators.single_agent import SingleAgent
    from tako.orchestrators.sub_agent import SubAgent
    from tako.orchestrators.trinity import Trinity
    from tako.providers.catalogue import provider
    from tako.steering import Steering
    from tako.tools import CallPattern, ConcurrencyConfig, ToolContext, ToolOutput, ToolPolicy
    from tako.tools.tool import Tool, tool

__all__ = [
    "AbMcts",
    "AgentRun",
    "Answered",
    "ApprovalRequest",
    "Approved",
    "CacheControl",
    "CallPattern",
    "CancellationToken",
    "Cancelled",
    "Capabilities",
    "ChatRequest",
    "ChatResponse",
    "ConcurrencyConfig",
    "Conductor",
    "ContentPart",
    "Denied",
    "Interrupted",
    "InvalidInput",
    "Journal",
    "Message",
    "OutputInvalid",
    "Principal",
    "ProtocolError",
    "ProviderError",
    "RateLimited",
    "Role",
    "RunResult",
    "SelfCaller",
    "SingleAgent",
    "Steering",
    "SteeringError",
    "SubAgent",
    "TakoError",
    "Thinking",
    "TimedOut",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolOutput",
    "ToolPolicy",
    "ToolSchema",
    "TransportError",
    "Trinity",
    "Usage",
    "effects",
    "errors",
    "events",
    "guards",
    "journal",
    "mcp",
    "model_names",
    "models",
    "orchestrator",
    "orchestrators",
    "provider",
    "providers",
    "routers",
    "steering",
    "testing",
    "tool",
    "tools",
    "verifiers",
]

__version__ = "0.1.0"

_NAMES_OF = {
    "cancellation": "CancellationToken",
    "errors": "Cancelled Interrupted InvalidInput OutputInvalid ProtocolError ProviderError RateLimited "
    "SteeringError TakoError TimedOut ToolError TransportError",
    "models": "CacheControl Capabilities ChatRequest ChatResponse ContentPart Message Principal Role "
    "Thinking ToolSchema Usage",
    "journal": "Journal",
    "orchestrators.ab_mcts": "AbMcts",
    "orchestrators.agent_run": "AgentRun",
    "orchestrators.conductor": "Conductor",
    "orchestrators.decisions": "Answered Approved Denied",
    "orchestrators.result": "RunResult",
    "orchestrators.approval": "ApprovalRequest",
    "orchestrators.self_caller": "SelfCaller",
    "orchestrators.single_agent": "SingleAgent",
    "orchestrators.sub_agent": "SubAgent",
    "orchestrators.trinity": "Trinity",
    "steering": "Steering",
    "providers.catalogue": "provider",
    "tools": "CallPattern ConcurrencyConfig Tool ToolContext ToolOutput ToolPolicy tool",
}
_HOME_OF = {name: home for home, names in _NAMES_OF.items() for name in names.split()}


if not TYPE_CHECKING:  # a checker that saw this would believe that there is every name

    def __getattr__(name: str) -> object:
        if name in _HOME_OF:
            value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
            globals()[name] = value
            return value
        if name in __all__:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
