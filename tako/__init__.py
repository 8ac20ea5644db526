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
        mcp,
        model_names,
        models,
        orchestrators,
        providers,
        steering,
        testing,
        tools,
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
    from tako.orchestrators.agent_run import AgentRun
    from tako.orchestrators.approval import ApprovalRequest
    from tako.orchestrators.decisions import Answered, Approved, Denied
    from tako.orchestrators.result import RunResult
    from tako.orchestrators.single_agent import SingleAgent
    from tako.orchestrators.sub_agent import SubAgent
    from tako.providers.catalogue import provider
    from tako.steering import Steering
    from tako.tools import CallPattern, ConcurrencyConfig, ToolContext, ToolOutput, ToolPolicy
    from tako.tools.tool import Tool, tool

__all__ = [
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
    "ContentPart",
    "Denied",
    "Interrupted",
    "InvalidInput",
    "Message",
    "OutputInvalid",
    "Principal",
    "ProtocolError",
    "ProviderError",
    "RateLimited",
    "Role",
    "RunResult",
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
    "Usage",
    "effects",
    "errors",
    "events",
    "mcp",
    "model_names",
    "models",
    "orchestrators",
    "provider",
    "providers",
    "steering",
    "testing",
    "tool",
    "tools",
]

__version__ = "0.1.0"

_NAMES_OF = {
    "cancellation": "CancellationToken",
    "errors": "Cancelled Interrupted InvalidInput OutputInvalid ProtocolError ProviderError RateLimited "
    "SteeringError TakoError TimedOut ToolError TransportError",
    "models": "CacheControl Capabilities ChatRequest ChatResponse ContentPart Message Principal Role "
    "Thinking ToolSchema Usage",
    "orchestrators.agent_run": "AgentRun",
    "orchestrators.decisions": "Answered Approved Denied",
    "orchestrators.result": "RunResult",
    "orchestrators.approval": "ApprovalRequest",
    "orchestrators.single_agent": "SingleAgent",
    "orchestrators.sub_agent": "SubAgent",
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
